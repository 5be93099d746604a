"""`python -m flagscale_api.crdgen [--check]`: the CRDs, generated from the models."""

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

import yaml

from flagscale_api import keys
from flagscale_api.meta import PrinterColumn, ResourceKind
from flagscale_api.schema import structural_schema, validation, without_defaults, without_hints
from flagscale_api.v1alpha1.agent_tool_source import AGENT_TOOL_SOURCE
from flagscale_api.v1alpha1.agent_tool_status import AGENT_TOOL
from flagscale_api.v1alpha1.inference_service_status import INFERENCE_SERVICE
from flagscale_api.v1alpha1.train_job_status import TRAIN_JOB

ROOT = Path(__file__).resolve().parents[3]
KINDS = (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE)
HEADER = "# Generated from the models in crds/src by `make crds`. Do not edit.\n"


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.json_path,
    }
    if column.description:
        entry["description"] = column.description
    return {**entry, "priority": 1} if column.wide else entry


def _subresources(kind: ResourceKind) -> dict[str, Any]:
    if kind.scale is None:
        return {"status": {}}
    paths = {
        "specReplicasPath": kind.scale.wanted,
        "statusReplicasPath": kind.scale.current,
        "labelSelectorPath": kind.scale.selector,
    }
    return {"status": {}, "scale": paths}


def _root_schema(kind: ResourceKind) -> dict[str, Any]:
    text = (kind.spec_model.__doc__ or "").strip()
    schema = {
        "type": "object",
        "description": f"{kind.kind}: {text}",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{keys.API_VERSION}."},
            "kind": {"type": "string", "description": f"{kind.kind}."},
            "metadata": {"type": "object"},
            "spec": without_hints(structural_schema(kind.spec_model)),
            "status": without_defaults(without_hints(structural_schema(kind.status_model))),
        },
    }
    rules = [validation(rule) for rule in kind.name_rules]
    return {**schema, "x-kubernetes-validations": rules} if rules else schema


def custom_resource_definition(kind: ResourceKind) -> dict[str, Any]:
    """The whole CRD of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{keys.GROUP}"},
        "spec": {
            "group": keys.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [keys.CATEGORY],
            },
            "versions": [
                {
                    "name": keys.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": _subresources(kind),
                    "additionalPrinterColumns": [_column(c) for c in kind.columns],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def generated_files() -> dict[Path, str]:
    """Path below the root and text of every generated file."""
    files = {}
    for kind in KINDS:
        crd = custom_resource_definition(kind)
        name = f"{crd['metadata']['name']}.yaml"
        files[Path("crds") / name] = _dump(crd)
        # The chart's copy outlives an uninstall: deleting a CRD deletes every object of it.
        kept = {"helm.sh/resource-policy": "keep"}
        crd = {**crd, "metadata": {**crd["metadata"], "annotations": kept}}
        files[Path("charts/flagscale-crds/templates") / name] = _dump(crd)
    return files


def _dump(document: dict[str, Any]) -> str:
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=100)


def stale_files(root: Path) -> list[str]:
    """A unified diff for every generated file that is not what the models say."""
    diffs: list[str] = []
    for path, text in generated_files().items():
        file = root / path
        old = file.read_text() if file.exists() else ""
        diffs += difflib.unified_diff(
            old.splitlines(), text.splitlines(), str(path), f"{path} (generated)", lineterm=""
        )
    return diffs


def main() -> int:
    """Write the files, or with --check say which are stale (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    if parser.parse_args().check:
        stale = stale_files(ROOT)
        print("\n".join([*stale, "run `make crds`"]) if stale else "CRDs are current")
        return 1 if stale else 0
    for path, text in generated_files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
