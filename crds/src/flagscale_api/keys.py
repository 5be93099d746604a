"""Every label, annotation and group string of the product, in one table."""

from typing import Final

GROUP: Final = "flagscale.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "flagscale"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "flagscale"
NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"

TRAIN_JOB_LABEL: Final = f"{GROUP}/trainjob"
OWNER_UID_LABEL: Final = f"{GROUP}/owner-uid"
INFERENCE_SERVICE_LABEL: Final = f"{GROUP}/inferenceservice"
REVISION_LABEL: Final = f"{GROUP}/revision"
TOOL_SOURCE_LABEL: Final = f"{GROUP}/toolsource"
ATTEMPT_LABEL: Final = f"{GROUP}/attempt"

TRAIN_CONFIG_ANNOTATION: Final = f"{GROUP}/train-config"
PROGRESS_CA_ANNOTATION: Final = f"{GROUP}/progress-ca"
SERVE_CONFIG_ANNOTATION: Final = f"{GROUP}/serve-config"
MODEL_DIGEST_ANNOTATION: Final = f"{GROUP}/model-digest"
SPEC_HASH_ANNOTATION: Final = f"{GROUP}/spec-hash"

MATCHER_FIELD_MANAGER: Final = f"{MANAGED_BY}/matcher"
TOOL_SOURCE_FIELD_MANAGER: Final = f"{MANAGED_BY}/agenttoolsource"
"""Whose fields of an AgentTool are its source's: the operator writes, the matcher looks for it."""

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
