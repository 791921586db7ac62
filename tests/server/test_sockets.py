"""Where the service listens, and that it listens there alone."""

from __future__ import annotations

import socket
import stat
import sys

import pytest
from serving import free_port

from embedwell.app.config.settings import Settings
from embedwell.core.errors import ServiceStartError
from embedwell.server.sockets import listening

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")


def test_the_socket_is_private_and_gone_afterwards(folder):
    path = folder / "new" / "s"
    with listening(Settings(socket=path, port=0)) as sockets:
        assert [one.family for one in sockets] == [socket.AF_UNIX]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_it_listens_on_both(folder):
    port = free_port()
    with listening(Settings(socket=folder / "s", port=port)) as sockets:
        socket.create_connection(("127.0.0.1", port)).close()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(folder / "s"))
        assert len(sockets) == 2


def test_without_unix_sockets_it_listens_on_tcp_alone(folder, monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")
    with listening(Settings(socket=folder / "s", port=free_port())) as sockets:
        assert [one.family for one in sockets] == [socket.AF_INET]
    assert list(folder.iterdir()) == []


def test_a_second_service_is_refused_and_the_first_stays(folder):
    settings = Settings(socket=folder / "s", port=0)
    with listening(settings):
        with pytest.raises(ServiceStartError, match="already runs"), listening(settings):
            pass
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(folder / "s"))


def test_a_folder_that_cannot_be_written_is_said(folder):
    (folder / "s.lock").mkdir()  # root may write to any folder
    with (
        pytest.raises(ServiceStartError, match="cannot be written"),
        listening(Settings(socket=folder / "s", port=0)),
    ):
        pass


def test_a_socket_that_nobody_answers_at_is_replaced(folder):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "s"))
    assert (folder / "s").exists()
    with listening(Settings(socket=folder / "s", port=0)), socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(folder / "s"))


def test_another_programs_socket_is_left_alone(folder):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "s"))
        other.listen()
        settings = Settings(socket=folder / "s", port=0)
        with pytest.raises(ServiceStartError, match="Another program"), listening(settings):
            pass
        assert (folder / "s").exists()


def test_a_file_that_is_no_socket_is_left_alone(folder):
    (folder / "s").write_text("precious")
    with (
        pytest.raises(ServiceStartError, match="no socket"),
        listening(Settings(socket=folder / "s", port=0)),
    ):
        pass
    assert (folder / "s").read_text() == "precious"


def test_a_path_that_is_too_long_names_the_setting(folder):
    path = folder / ("s" * 108)
    with (
        pytest.raises(ServiceStartError, match="`socket`"),
        listening(Settings(socket=path, port=0)),
    ):
        pass


def test_a_folder_that_cannot_be_made_names_the_setting(folder):
    (folder / "file").touch()
    settings = Settings(socket=folder / "file" / "s", port=0)
    with pytest.raises(ServiceStartError, match="`socket`"), listening(settings):
        pass


def test_a_taken_port_names_the_setting_and_leaves_nothing(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(socket=folder / "s", port=taken.getsockname()[1])
        with pytest.raises(ServiceStartError, match=r"taken.*`port`"), listening(settings):
            pass
    assert not (folder / "s").exists()


def test_an_address_of_another_machine_names_the_setting(folder):
    settings = Settings(socket=folder / "s", host="192.0.2.1", port=free_port())
    with pytest.raises(ServiceStartError, match="`host`"), listening(settings):
        pass
