import json
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.serve.config_file import ConfigFileError, read_config

CONFIG: dict[str, Any] = {
    "model": {"name": "sim", "path": "/tmp"},
    "engine": {"name": "simulator"},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gatway": 1}, "gatway: no such field, got 1; did you mean gateway?"),
        ({"gateway": {"Port": 1}}, "gateway.Port: no such field, got 1; did you mean port?"),
        (
            {"gateway": {"queue": {"sise": 1}}},
            "gateway.queue.sise: no such field, got 1; did you mean size?",
        ),
        ({"auth": {"x": 1}}, "auth.x: no such field, got 1; it has keysFile"),
        ({"auth": {}}, "auth.keysFile: Field required, got {}; give it"),
        ({"gateway": {"port": 99999}}, "less than or equal to 65535, got 99999; correct it"),
    ],
)
def test_what_is_wrong_is_told_by_field_with_value_and_remedy(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = tmp_path / "serve.json"
    path.write_text(json.dumps(CONFIG | change))

    with pytest.raises(ConfigFileError) as wrong:
        read_config(path)

    assert told in str(wrong.value)
