"""A run's folder: names, layout, and a lock that a living writer keeps and a dead one loses."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.store import folder
from testtime.store.atomic import slug, whole
from testtime.store.folder import RunFolder, default_name, runs
from testtime.store.journal import Journal

HOLD = (
    "import sys\nfrom testtime.store.folder import RunFolder\n"
    "with RunFolder.at(sys.argv[1], 'r').held() as note:\n    print(note, flush=True)\n    sys.stdin.read()\n"
)


def holder(out_dir):
    """Another process that holds the run `r`, once it has said so."""
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(out_dir)], stdin=pipe, stdout=pipe)
    child.stdout.readline()
    return child


@given(st.text(st.characters()))
def test_a_slug_is_a_file_name(tmp_path_factory, name):
    one = slug(name)
    assert one not in ("", ".", "..")
    assert not set(one) & set('/\\:*?"<>|\0 ')
    assert slug(one) == one
    (tmp_path_factory.getbasetemp() / one).touch()


@given(st.text(max_size=300), st.text(max_size=300))
def test_the_default_name_keeps_its_hash(dataset, model):
    name = default_name(dataset, "openai", model, "0123456789ab")
    assert name.endswith("_01234567")
    assert RunFolder.at("out", name).name == name


def test_outcomes_lie_beside_the_folder(tmp_path):
    run = RunFolder.at(tmp_path, "a:b/c").create()
    assert run.path == tmp_path / "a-b-c"
    assert run.outcomes == tmp_path / "a-b-c.jsonl"
    run.write_spec({"seed": 0})
    with Journal.open(run.path) as journal:
        journal.append("run", "r")
    run.outcomes.touch()
    assert list(tmp_path.glob("*.jsonl")) == [run.outcomes]
    assert RunFolder.open(run.path) == run


@pytest.mark.parametrize("output", ["P.parquet", "P.jsonl", "v1.5.parquet"])
def test_one_output_file_has_its_folder_beside_it(tmp_path, output):
    run = RunFolder.beside(tmp_path / output).create()
    assert run.path == tmp_path / f"{output.rsplit('.', 1)[0]}.run"
    run.write_spec({})
    assert RunFolder.open(run.path) == run
    assert run.name == output.rsplit(".", 1)[0]


def test_the_spec_keeps_its_nulls_and_its_order(tmp_path):
    run = RunFolder.at(tmp_path, "r").create()
    spec = {"model": "m/7b", "persona": None, "arms": [{"label": "é"}], "seed": 0}
    run.write_spec(spec)
    assert run.read_spec() == spec
    assert list(run.read_spec()) == list(spec)
    assert "persona: null" in run.spec.read_text()


@pytest.mark.parametrize("text", ["{", "- 1", "", "!!python/object:os.system {}"])
def test_a_broken_spec_is_one_line(tmp_path, text):
    run = RunFolder.at(tmp_path, "r").create()
    run.spec.write_text(text)
    with pytest.raises(BadInput, match=r"spec\.yaml: ") as error:
        run.read_spec()
    assert "\n" not in str(error.value)


def test_the_runs_of_a_folder_are_listed_by_name(tmp_path):
    for name in ("b", "a", "aside"):
        RunFolder.at(tmp_path, name).create().write_spec({})
    (tmp_path / "other").mkdir()
    RunFolder.at(tmp_path, "aside").set_aside()
    assert [run.name for run in runs(tmp_path)] == ["a", "b"]
    with pytest.raises(BadInput, match="no run here"):
        RunFolder.open(tmp_path / "other")
    with pytest.raises(BadInput, match="no such folder"):
        runs(tmp_path / "none")


def test_what_is_set_aside_is_kept(tmp_path):
    kept = []
    for seed in (1, 2):
        run = RunFolder.at(tmp_path, "r").create()
        run.write_spec({"seed": seed})
        run.outcomes.write_text("{}")
        kept.append(run.set_aside())
    assert [RunFolder(path, path).read_spec()["seed"] for path in kept] == [1, 2]
    assert [(path / "r.jsonl").read_text() for path in kept] == ["{}", "{}"]
    assert RunFolder.at(tmp_path, "r").set_aside() is None


def test_a_living_writer_keeps_others_out(tmp_path):
    run = RunFolder.at(tmp_path, "r")
    child = holder(tmp_path)
    try:
        told = f"in use by process {child.pid} on {socket.gethostname()} since "
        with pytest.raises(BadInput, match=told), run.held():
            pass
    finally:
        child.communicate(b"")
    with run.held() as note:
        assert note is None, "it was given back"


def test_one_process_does_not_hold_a_run_twice(tmp_path):
    run = RunFolder.at(tmp_path, "r")
    with run.held(), pytest.raises(BadInput, match=f"process {os.getpid()}"), run.held():
        pass


def test_what_is_in_use_or_no_runs_is_not_set_aside(tmp_path):
    run = RunFolder.at(tmp_path, "r").create()
    run.write_spec({})
    with run.held(), pytest.raises(BadInput, match="in use by process"):
        run.set_aside()
    mine = RunFolder.at(tmp_path, "mine").create()
    (mine.path / "thesis.tex").touch()
    with pytest.raises(BadInput, match="is there, and is no run"):
        mine.set_aside()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "r"]


def test_a_lock_that_went_with_a_folder_set_aside_is_no_hold(tmp_path, monkeypatch):
    """Whoever starts beside `--fresh` may have opened the lock before the folder went, and taken it after."""
    run = RunFolder.at(tmp_path, "r").create()
    run.write_spec({})
    opened = folder._opened

    def late(lock):
        handle = opened(lock)
        monkeypatch.setattr(folder, "_opened", opened)
        run.set_aside()
        return handle

    monkeypatch.setattr(folder, "_opened", late)
    with pytest.raises(BadInput, match="in use by another process"), run.held():
        pass
    with run.held():
        assert run.busy


def test_a_dead_writer_is_taken_over_with_a_note(tmp_path):
    run = RunFolder.at(tmp_path, "r")
    child = holder(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with run.held() as note:
        assert note == f"took over from process {child.pid}, which has ended"
        assert json.loads(run.lock.read_text())["pid"] == os.getpid()
    assert run.lock.read_text() == ""


def test_halves_of_files_go_with_the_next_writer_and_those_of_the_living_stay(tmp_path):
    run = RunFolder.at(tmp_path, "r").create()
    assert run.blank
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    names = [f".spec.yaml.{child.pid}.part", f".report.html.{os.getpid()}.part", ".mine.part", "mine.7.part"]
    for name in names:
        (run.path / name).touch()
        assert run.blank == (name in names[:2])
    with run.held():
        assert {one.name for one in run.path.iterdir()} == {"lock", *names[1:]}


@pytest.mark.parametrize("text", ['{"host": "elsewhere", "pid": 7, "start": "then"}', "not JSON", "[1]"])
def test_another_host_or_an_unreadable_lock_is_never_taken_over(tmp_path, text):
    run = RunFolder.at(tmp_path, "r").create()
    run.lock.write_text(text)
    with pytest.raises(BadInput, match=r"in use by process .* if it is gone delete"), run.held():
        pass
    assert run.lock.read_text() == text


def test_without_file_locks_the_process_id_decides(tmp_path, monkeypatch):
    """Some cluster disks know no locks."""

    def unsupported(handle, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    run = RunFolder.at(tmp_path, "r")
    with run.held(), pytest.raises(BadInput, match=f"process {os.getpid()}"), run.held():
        pass
    child = holder(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with run.held() as note:
        assert str(child.pid) in note


def test_a_failure_inside_gives_the_run_back(tmp_path):
    run = RunFolder.at(tmp_path, "r")
    with pytest.raises(ZeroDivisionError), run.held():
        raise ZeroDivisionError
    with run.held() as note:
        assert note is None


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"

    def breaks():
        with whole(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert list(path.parent.iterdir()) == []
    with whole(path) as part:
        part.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be made"):
        RunFolder.at(tmp_path / "file", "r").create()
