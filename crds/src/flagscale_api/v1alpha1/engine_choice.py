"""Which engine `spec.engine.name: auto` stands for, said in Python and in CEL."""

from typing import TYPE_CHECKING, Final

from flagscale_api.v1alpha1.engine import EngineName, EngineSpec
from flagscale_api.v1alpha1.offered_engines import DTYPES, OFFERED_ENGINES, SETTINGS

if TYPE_CHECKING:
    from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec

PREFERRED: Final[tuple[EngineName, ...]] = ("vllm", "sglang", "transformers")
"""Best first: the first two compute many requests together, the last loads the most models."""
GPU_PREFIX: Final = "nvidia.com/"
"""Of the resources that are GPUs or parts of them."""
_ON_CUDA: Final = [name for name in PREFERRED if "cuda" in OFFERED_ENGINES[name].devices]


def chosen_engine(spec: "InferenceServiceSpec", running: EngineName | None = None) -> EngineName:
    """The engine that is named, or for `auto` the one that the spec alone decides.

    1. With spec.model.file, a GGUF file: llamacpp, as no other engine reads it, and llamacpp needs
       it. So spec.runtime decides nothing: in pods, too, a model without such a file is served by
       one of the others.
    2. Else those of PREFERRED that offer every setting of spec.engine, on its device. With a GPU
       in spec.resources.limits only those that compute on one, if there are any: an idle GPU is a
       waste, but no reason to refuse what runs without it.
    3. Of these `running`, the engine that the service has: neither an edit that it can serve nor
       another order in a newer version changes it. Else the first.
    4. If there are none, no engine will do, and the first of PREFERRED has the rules say why.

    Never simulator, which serves no model, nor what the table does not offer. What the files of a
    model are can't be seen here: an engine that can't load them ends and says so.
    """
    if spec.engine.name != "auto":
        return spec.engine.name
    if spec.model.file is not None:
        return "llamacpp"
    able = able_engines(spec)
    return running if running in able else (*able, PREFERRED[0])[0]


def able_engines(spec: "InferenceServiceSpec") -> tuple[EngineName, ...]:
    """Engines for a model that is no GGUF file, best first."""
    able = tuple(name for name in PREFERRED if _fits(spec, name))
    on_gpu = tuple(name for name in able if name in _ON_CUDA)
    return on_gpu if on_gpu and wants_gpu(spec) else able


def wants_gpu(spec: "InferenceServiceSpec") -> bool:
    """Whether the engine pods have a GPU to compute on."""
    return spec.engine.device != "cpu" and any(
        name.startswith(GPU_PREFIX) for name in spec.resources.limits
    )


def why_chosen(spec: "InferenceServiceSpec", engine: EngineName) -> str:
    """Why `auto` stands for an engine, for people."""
    if engine == "llamacpp":
        return "spec.model.file is a GGUF file"
    able = able_engines(spec)
    if not able or engine != able[0]:
        return "it is the engine that the service has, and it offers all that spec.engine asks for"
    where = ", on a GPU" if wants_gpu(spec) and engine in _ON_CUDA else ""
    order = f"{', '.join(PREFERRED[:-1])} and {PREFERRED[-1]}"
    return f"it is the first of {order} that offers all that spec.engine asks for{where}"


def _fits(spec: "InferenceServiceSpec", name: EngineName) -> bool:
    offer, engine = OFFERED_ENGINES[name], spec.engine
    return (
        all(
            setting in offer.settings
            or getattr(engine, setting) == EngineSpec.model_fields[setting].default
            for setting in SETTINGS
        )
        and engine.quantization in offer.quantizations
        and engine.dtype in offer.dtypes
        and (engine.device != "cuda" or "cuda" in offer.devices)
    )


def is_default_in_cel(engine: str, setting: str) -> str:
    """CEL: whether a setting of the engine at that path is as if it were not set."""
    field = EngineSpec.model_fields[setting]
    path = f"{engine}.{field.alias}"
    return f"!has({path})" if field.default is None else f"{path} == {field.default!r}"


def chosen_in_cel(spec: str) -> str:
    """CEL: `chosen_engine` of the spec at that path, without an engine that runs."""
    engine = f"{spec}.engine"
    cases = [
        (f"{engine}.name != 'auto'", f"{engine}.name"),
        (f"has({spec}.model.file)", "'llamacpp'"),
        *((f"{_gpu_in_cel(spec)} && {_fits_in_cel(engine, n)}", f"'{n}'") for n in _ON_CUDA),
        *((_fits_in_cel(engine, name), f"'{name}'") for name in PREFERRED),
    ]
    choices = "".join(f"{condition} ? {name} : " for condition, name in cases)
    return f"({choices}'{PREFERRED[0]}')"


def _gpu_in_cel(spec: str) -> str:
    limits = f"{spec}.resources.limits.exists(name, name.startsWith('{GPU_PREFIX}'))"
    return f"{spec}.engine.device != 'cpu' && {limits}"


def _fits_in_cel(engine: str, name: EngineName) -> str:
    offer = OFFERED_ENGINES[name]
    asked = [is_default_in_cel(engine, s) for s in SETTINGS if s not in offer.settings]
    if "quantization" in offer.settings:
        asked.append(f"{engine}.quantization in {list(offer.quantizations)}")
    if "dtype" in offer.settings and offer.dtypes != DTYPES:
        asked.append(f"{engine}.dtype in {list(offer.dtypes)}")
    if "cuda" not in offer.devices:
        asked.append(f"{engine}.device != 'cuda'")
    return " && ".join(asked) or "true"
