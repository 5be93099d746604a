from support.images.pruning import nameless, older


def test_other_versions_of_the_same_image_are_older() -> None:
    names = ["a-serving:1", "a-serving:2", "a-trainer:1"]
    assert older(names, "a-serving:2", ":") == {"a-serving:1"}


def test_a_content_without_a_name_is_removed_and_none_with_one() -> None:
    digests = {"image:1": "d1", "sha256:aa": "d1", "sha256:bb": "d2"}
    assert nameless(digests) == {"sha256:bb"}
