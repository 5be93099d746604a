import io
import json
import socket
import tarfile
from pathlib import Path

from cryptography import x509

from support.cluster import kubeconfig, native, network, pki, ports
from support.cluster.archive import image_archive
from support.cluster.node_components import kubelet_config
from support.cluster.operator_components import with_mounts
from support.cluster.paths import folders
from support.cluster.pki import Identity
from support.cluster.server_components import ServerPlan
from support.cluster.teardown import mounts_below

NUMBERS = {name: 20000 + index for index, name in enumerate(native.PORTS)}


def plan(state: Path) -> ServerPlan:
    return ServerPlan(Path("/cache"), state, NUMBERS, "192.0.2.2", native.CLIENTS)


def test_folders_come_from_the_environment() -> None:
    found = folders({"HOME": "/home/a", "FLAGSCALE_CACHE": "/c", "FLAGSCALE_STATE": "/s"})
    assert (found.cache, found.state) == (Path("/c"), Path("/s"))


def test_folders_default_to_the_home_folder() -> None:
    found = folders({"HOME": "/home/a"})
    assert found.state == Path("/home/a/.cache/flagscale/state/native")


def test_the_image_store_survives_the_state() -> None:
    found = folders({"HOME": "/home/a"})
    assert not found.image_store.is_relative_to(found.state)


def test_ports_stay_the_same_once_assigned(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    assert ports.assign(file, {"a": 0, "b": 0}) == ports.assign(file, {"a": 0, "b": 0})


def test_a_taken_port_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wish = taken.getsockname()[1]
        assert ports.assign(tmp_path / "ports.json", {"a": wish})["a"] != wish


def test_certificates_stay_the_same_for_the_same_identities(tmp_path: Path) -> None:
    wanted = [Identity("server", "server", names=("localhost", "127.0.0.1"))]
    pki.ensure(tmp_path, wanted)
    before = (tmp_path / "server.crt").read_bytes()
    pki.ensure(tmp_path, wanted)
    assert (tmp_path / "server.crt").read_bytes() == before


def test_a_new_address_gets_a_new_certificate_that_names_it(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [Identity("server", "server", names=("127.0.0.1",))])
    pki.ensure(tmp_path, [Identity("server", "server", names=("192.0.2.9",))])
    made = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.9"]


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [Identity("server", "server")])
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0


def test_a_kubeconfig_holds_all_it_needs() -> None:
    made = kubeconfig.render("https://127.0.0.1:1", b"ca", b"crt", b"key")
    assert made["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert made["users"][0]["user"]["client-key-data"] == "a2V5"


def test_every_component_has_its_own_name_and_health_address(tmp_path: Path) -> None:
    parts = native.components(plan(tmp_path))
    addresses = [part.health for part in parts if part.health]
    assert len({part.name for part in parts}) == len(parts)
    assert len(set(addresses)) == len(addresses)


def test_the_kubelet_never_collects_images_that_cannot_be_pulled(tmp_path: Path) -> None:
    assert kubelet_config(plan(tmp_path))["imageGCHighThresholdPercent"] == 100


def test_a_command_with_mounts_keeps_its_own_words() -> None:
    command = with_mounts((("/a b", "/etc/x"),), ("/bin/run", "--flag; rm -rf /"))
    assert command[-5:] == ("/a b", "/etc/x", "--", "/bin/run", "--flag; rm -rf /")


def test_mounts_are_undone_from_the_inside_out() -> None:
    lines = [f"1 0 0:1 / {point} rw - tmpfs x rw" for point in ("/s", "/s/a", "/s/a/b", "/sx")]
    assert mounts_below(Path("/s"), "\n".join(lines)) == ["/s/a/b", "/s/a", "/s"]


def test_a_cni_result_names_its_network_namespace() -> None:
    assert network.namespace_names('{"netns": "/var/run/netns/cni-1"}') == ["cni-1"]


def test_a_made_image_holds_its_files_and_links() -> None:
    content = image_archive("localhost/x:1", {"bin/a": b"A"}, {"bin/b": "a"}, ("/bin/a",))
    with tarfile.open(fileobj=io.BytesIO(content)) as image:
        manifest = json.load(_member(image, "manifest.json"))[0]
        config = json.load(_member(image, manifest["Config"]))
        with tarfile.open(fileobj=_member(image, manifest["Layers"][0])) as layer:
            assert _member(layer, "bin/a").read() == b"A"
            assert layer.getmember("bin/b").linkname == "a"
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["Entrypoint"] == ["/bin/a"]


def _member(tar: tarfile.TarFile, name: str) -> io.BytesIO:
    found = tar.extractfile(name)
    assert found is not None
    return io.BytesIO(found.read())
