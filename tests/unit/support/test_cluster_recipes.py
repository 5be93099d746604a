from dataclasses import replace
from pathlib import Path

from support.cluster.builds import GO_CACHE, staging_modules, tidy
from support.cluster.recipes import BY_NAME, NATIVE, RECIPES, program_path, recipe_of
from support.cluster.toolchain import parse_version


def test_a_new_version_gets_a_new_cache_folder() -> None:
    etcd = BY_NAME["etcd"]
    assert replace(etcd, version="v9").key != etcd.key


def test_the_cache_folder_stays_the_same_for_the_same_recipe() -> None:
    assert replace(BY_NAME["etcd"]).key == BY_NAME["etcd"].key


def test_no_two_recipes_make_the_same_program() -> None:
    programs = [program for recipe in RECIPES for program, _ in recipe.programs]
    assert len(programs) == len(set(programs))


def test_everything_the_native_cluster_needs_has_a_recipe() -> None:
    assert set(NATIVE) <= set(BY_NAME)


def test_a_program_lies_in_its_recipes_folder() -> None:
    path = program_path(Path("/cache"), "kubelet")
    assert path == Path("/cache/bin") / recipe_of("kubelet").key / "kubelet"


def test_only_staging_modules_are_replaced() -> None:
    go_mod = "\n".join(
        [
            "replace (",
            "\tk8s.io/api => ./staging/src/k8s.io/api",
            "\tk8s.io/client-go => ./staging/src/k8s.io/client-go",
            "\texample.org/a => example.org/b v1.0.0",
            ")",
        ]
    )
    assert staging_modules(go_mod) == ["k8s.io/api", "k8s.io/client-go"]


def test_the_go_version_is_read_from_its_own_words() -> None:
    assert parse_version("go version go1.26.8 linux/amd64") == (1, 26)


def test_other_words_count_as_no_go() -> None:
    assert parse_version("command not found") == (0, 0)


def test_what_go_compiled_goes_once_every_program_is_there(tmp_path: Path) -> None:
    (tmp_path / GO_CACHE).mkdir()
    programs = [program_path(tmp_path, name) for recipe in RECIPES for name, _ in recipe.programs]
    for program in programs:
        tidy(tmp_path)
        assert (tmp_path / GO_CACHE).exists()
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch()
    tidy(tmp_path)
    assert not (tmp_path / GO_CACHE).exists()
