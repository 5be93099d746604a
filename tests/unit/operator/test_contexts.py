from flagscale_operator.contexts import serving_context
from flagscale_operator.settings import Settings


def test_an_engine_runs_from_the_image_that_has_it() -> None:
    settings = Settings(serving_image="s:1", llamacpp_image="l:1", sglang_image="g:1")
    context = serving_context(settings, ca_pem="")
    images = {engine: context.image_of(engine) for engine in ("vllm", "llamacpp", "sglang")}
    assert images == {"vllm": "s:1", "llamacpp": "l:1", "sglang": "g:1"}
