"""The launchers: what their dry runs print, and what they do around commands that stand in."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "launch").glob("*.sh")), ROOT / ".ci" / "run"]
AWKWARD = """--where=name=O"Brien\\ & $(id) it's"""
TRAIN = ["train", "--run_dir=/runs/a", AWKWARD]
KUBERNETES = ["--name=cohort", "--image=registry/synthdiff:1", "--claim=runs"]
TPU = ["--tpu=pod", "--zone=us-central2-b"]


def launch(script, *arguments, path=None, **environment):
    """Runs a launcher; `path` is a folder whose programs come first."""
    environment = os.environ | {"PYTHON": "py"} | environment
    environment["PATH"] = os.pathsep.join(filter(None, [path and str(path), environment["PATH"]]))
    command = ["bash", str(ROOT / "launch" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def dry_run(script, *arguments, **environment):
    done = launch(script, "--dry_run", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_program(path, body):
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)
    return path


def stop_when_started(job, log, lines, number):
    """Sends a signal once `lines` lines are in the log, and waits for the end of the job."""
    try:
        deadline = time.monotonic() + 20
        while not (log.exists() and len(log.read_text().splitlines()) == lines):
            assert time.monotonic() < deadline, "did not start"
            time.sleep(0.05)
        job.send_signal(number)
        job.wait(20)
    finally:
        job.kill()


def find_shellcheck():
    beside = Path(sys.executable).parent / "shellcheck"
    return str(beside) if beside.exists() else shutil.which("shellcheck")


@pytest.mark.skipif(find_shellcheck() is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_scripts(tmp_path):
    done = subprocess.run([find_shellcheck(), *SCRIPTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    bad = write_program(tmp_path / "bad.sh", "rm -r $1/")
    assert subprocess.run([find_shellcheck(), bad], capture_output=True).returncode == 1


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_stop_at_the_first_error(path):
    assert "\nset -euo pipefail\n" in path.read_text() and os.access(path, os.X_OK)


@pytest.mark.parametrize(
    ("script", "options"),
    [("local.sh", []), ("tpu_vm.sh", TPU), ("kubernetes.sh", KUBERNETES), ("slurm.sh", [])],
)
def test_mistakes_end_with_code_2_and_run_nothing(script, options):
    done = launch(script, *options)
    assert done.returncode == 2 and "name a command" in done.stderr and not done.stdout
    if script != "slurm.sh":  # whose options are those of sbatch
        done = launch(script, *options, "--nodes=3", "train")
        assert done.returncode == 2 and "unknown option --nodes=3" in done.stderr
    if options:
        done = launch(script, "train")
        assert done.returncode == 2 and "give --" in done.stderr


def test_local_names_every_process():
    lines = dry_run("local.sh", "--num_processes=3", "--port=99", *TRAIN).splitlines()
    assert len(lines) == 3
    for i, line in enumerate(lines):
        joined = ["--coordinator=127.0.0.1:99", "--num_processes=3", f"--process_id={i}"]
        device = f"CUDA_VISIBLE_DEVICES={i}"
        assert shlex.split(line) == [device, "py", "-m", "synthdiff", *TRAIN, *joined]


def test_local_runs_what_the_dry_run_says(tmp_path):
    python = write_program(
        tmp_path / "python", f'printf "%s\\n" "$CUDA_VISIBLE_DEVICES" "$@" > {tmp_path}/"${{!#}}"'
    )
    assert launch("local.sh", *TRAIN, PYTHON=str(python)).returncode == 0
    for i, line in enumerate(dry_run("local.sh", *TRAIN).splitlines()):
        told = (tmp_path / f"--process_id={i}").read_text().splitlines()
        words = shlex.split(line)
        assert words[0] == f"CUDA_VISIBLE_DEVICES={told[0]}" and words[2:] == told[1:]


def test_local_ends_the_others_when_one_process_fails(tmp_path):
    body = f'case "$*" in *process_id=1) exit 3;; esac; echo $$ > {tmp_path}/pid; exec sleep 50'
    python = write_program(tmp_path / "python", f"trap '' TERM\n{body}")
    started = time.monotonic()
    assert launch("local.sh", "train", PYTHON=str(python)).returncode == 3
    assert time.monotonic() - started < 20
    if (tmp_path / "pid").exists():  # it may have been ended before it wrote that
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_local_hands_sigterm_on_and_waits(tmp_path):
    log = tmp_path / "log"
    body = f"trap 'sleep 0.3; echo saved >> {log}; exit 143' TERM\necho started >> {log}"
    python = write_program(tmp_path / "python", f"{body}\nwhile :; do sleep 0.05; done")
    command = ["bash", str(ROOT / "launch" / "local.sh"), "train"]
    job = subprocess.Popen(command, env=os.environ | {"PYTHON": str(python)})
    stop_when_started(job, log, 2, signal.SIGTERM)
    assert job.returncode == 143
    assert log.read_text().split() == ["started", "started", "saved", "saved"]


def test_slurm_finds_the_coordinator_by_itself():
    words = shlex.split(dry_run("slurm.sh", *TRAIN))
    expected = ["srun", "--kill-on-bad-exit=1", "py", "-m", "synthdiff", *TRAIN]
    assert words == [*expected, "--coordinator=auto"]


@pytest.mark.parametrize("code", [0, 3])
def test_slurm_ends_as_its_processes_end(tmp_path, code):
    write_program(tmp_path / "srun", f"exit {code}")
    write_program(tmp_path / "scontrol", f"touch {tmp_path}/requeued")
    assert launch("slurm.sh", "train", path=tmp_path).returncode == code
    assert not (tmp_path / "requeued").exists()


def test_slurm_requeues_processes_that_were_stopped_with_their_state_saved(tmp_path):
    log = tmp_path / "log"
    write_program(tmp_path / "srun", "exit 75")
    write_program(tmp_path / "scontrol", f'echo "$@" >> {log}')
    assert launch("slurm.sh", "train", path=tmp_path, SLURM_JOB_ID="17").returncode == 0
    assert log.read_text() == "requeue 17\n"


def test_slurm_requeues_at_the_time_limit_once_the_processes_have_stopped(tmp_path):
    log = tmp_path / "log"
    write_program(
        tmp_path / "srun",
        f"trap 'sleep 0.3; echo saved >> {log}; exit 143' TERM\n"
        f"echo started >> {log}\nwhile :; do sleep 0.05; done",
    )
    write_program(tmp_path / "scontrol", f'echo "$@" >> {log}')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "SLURM_JOB_ID": "17"}
    command = ["bash", str(ROOT / "launch" / "slurm.sh"), "train"]
    job = subprocess.Popen(command, env=environment)
    stop_when_started(job, log, 1, signal.SIGUSR1)
    assert job.returncode == 0
    assert log.read_text().splitlines() == ["started", "saved", "requeue 17"]


def test_tpu_vm_runs_on_all_workers(tmp_path):
    [line] = dry_run("tpu_vm.sh", *TPU, *TRAIN).splitlines()
    words = shlex.split(line)
    assert words[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "pod"]
    assert words[7:] == ["--zone=us-central2-b", "--worker=all"]
    python = tmp_path / "synthdiff" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    write_program(python, 'printf "%s\\n" "$@"')
    remote = words[6].removeprefix("--command=")
    told = subprocess.run(["bash", "-c", remote], cwd=tmp_path, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["-m", "synthdiff", *TRAIN, "--coordinator=auto"]


def test_tpu_vm_installs_first():
    options = ["--install", "--folder=work", "--python=python3.11"]
    lines = dry_run("tpu_vm.sh", *TPU, *options, "train").split("gcloud ")
    assert lines[0].startswith("git archive") and len(lines) == 4
    assert "scp /tmp/" in lines[1] and "pod: " in lines[1]
    assert "python3.11 -m venv work/.venv" in lines[2] and "work[tpu]" in lines[2]
    assert shlex.split(lines[3])[5].startswith("--command=cd work && ")


def test_kubernetes_renders_a_job_set_that_restarts_and_finds_its_coordinator():
    more = ["--num_processes=4", "--limit=nvidia.com/gpu=8", "--node_selector=pool=a b"]
    made = yaml.safe_load(dry_run("kubernetes.sh", *KUBERNETES, *more, *TRAIN))
    assert (made["apiVersion"], made["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert made["spec"]["failurePolicy"]["maxRestarts"] == 3
    [worker] = made["spec"]["replicatedJobs"]
    job = worker["template"]["spec"]
    assert job["completions"] == job["parallelism"] == 4 and job["backoffLimit"] == 0
    rules = job["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["FailJob", "FailJob"]
    assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert rules[1]["onExitCodes"] == {"operator": "In", "values": [75, 143]}
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["nodeSelector"] == {"pool": "a b"}
    [container] = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    first = f"{made['metadata']['name']}-{worker['name']}-0-0.{made['metadata']['name']}"
    assert container["args"] == [
        *(word.replace("$(", "$$(") for word in TRAIN),  # which the kubelet turns back
        f"--coordinator={first}:8476",
        "--num_processes=4",
        "--process_id=$(PROCESS_ID)",
    ]
    assert [variable["name"] for variable in container["env"]] == ["PROCESS_ID"]


def test_kubernetes_gives_kubectl_what_the_dry_run_shows(tmp_path):
    write_program(tmp_path / "kubectl", f'echo "$@" > {tmp_path}/told; cat > {tmp_path}/manifest')
    assert launch("kubernetes.sh", *KUBERNETES, *TRAIN, path=tmp_path).returncode == 0
    assert (tmp_path / "told").read_text() == "apply -f -\n"
    assert (tmp_path / "manifest").read_text() == dry_run("kubernetes.sh", *KUBERNETES, *TRAIN)


def test_lowest_takes_the_lower_bound_of_every_dependency(tmp_path):
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    (tmp_path / "setup.py").write_text(
        "from setuptools import setup\n"
        "dev = ['c.d>=10.0.1,<11; python_version >= \"3.1\"', 'e_f==2.0.0']\n"
        "extras = {'dev': dev, 'x': ['y>=9']}\n"
        "setup(install_requires=['a>=1,<3', 'b<3,>=0.25'], extras_require=extras)"
    )
    command = ["bash", tmp_path / "launch" / "lowest.sh", "--dry_run"]
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["a==1", "b==0.25", "c.d==10.0.1", "e_f==2.0.0"], done.stderr


def test_lowest_reads_setup():
    text = (ROOT / "setup.py").read_text()
    found = dict(line.split("==") for line in dry_run("lowest.sh", PYTHON=sys.executable).split())
    assert {"jax", "numpy", "pytest", "jax-privacy", "pdoc"} <= set(found)
    for name, lowest in found.items():
        assert re.search(rf'"{name}[>=]={lowest}[",]', text) or name == "jax"


def test_docs_names_every_part_of_the_package():
    words = shlex.split(dry_run("docs.sh"))
    assert words[:3] == ["py", "-m", "pdoc"] and "site" in words
    found = {word.removeprefix("synthdiff.") for word in words if word.startswith("synthdiff.")}
    names = {path.stem for path in (ROOT / "synthdiff").iterdir() if path.suffix in (".py", "")}
    assert found == {name for name in names if not name.startswith("_")}


def find_dead_links(page):
    """The links of a page to files, or to places in them, that are not there."""
    links = re.findall(r'href="([^":$]*)"', page.read_text())
    files = {link: page.parent / (link.partition("#")[0] or page.name) for link in links}

    def holds(link):
        place = link.partition("#")[2]
        return files[link].is_file() and (not place or f'id="{place}"' in files[link].read_text())

    return [link for link in links if not holds(link)]


@pytest.mark.skipif(find_spec("pdoc") is None, reason="pdoc is not installed")
def test_docs_are_built_from_guide_and_docstrings_and_their_links_hold(tmp_path):
    names = ("launch", "experiments", "synthdiff", "README.md", "ARCHITECTURE.md", "CHANGELOG.md")
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = ["bash", tmp_path / "launch" / "docs.sh", "synthdiff.data.split"]
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "Splits the rows into named parts" in (site / "synthdiff/data/split.html").read_text()
    for page, text in {
        "readme": "Quickstart", "architecture": "from CSV to release", "tutorials": "own_csv.py",
        "results": "Against the field", "changelog": "Unreleased",
    }.items():  # fmt: skip
        assert text in (site / f"{page}.html").read_text()
        assert (
            find_dead_links(site / f"{page}.html") == []
            and page in (site / "index.html").read_text()
        )
    tutorials = (site / "tutorials.html").read_text()
    assert tutorials.count('class="pdoc-code codehilite"') > 4 and "```" not in tutorials
    (site / "bad.html").write_text('<a href="readme.html#no"></a><a href="no.html"></a>')
    assert find_dead_links(site / "bad.html") == ["readme.html#no", "no.html"]
