"""The jobs in `examples/`: read by the engine's own parser or schema where installed, else by what it documents."""

import os
import re
import shlex
import shutil
import subprocess

import dask
import pytest
import yaml
from conftest import ROOT

from stlib.command import folder

SLURM, KUBERNETES = ROOT / "examples/paint.slurm", ROOT / "examples/paint.kubernetes.yaml"
# of sbatch 22.05, as `sbatch --help` lists them, without those of single sites
SBATCH = """
account array begin bell burst-buffer chdir comment constraint contiguous core-spec cores-per-socket cpus-per-
gpu cpus-per-task deadline dependency distribution error exclude exclusive export get-user-env gpus gpus-per-
node gpus-per-task gres hint hold ignore-pbs input job-name kill-on-invalid-dep licenses mail-type mail-user
mem mem-per-cpu mem-per-gpu mincpus nice no-kill no-requeue nodelist nodes ntasks ntasks-per-core ntasks-per-
node open-mode output overcommit oversubscribe partition priority qos requeue reservation signal sockets-per-
node test-only threads-per-core time time-min tmp uid use-min-nodes verbose wait wait-all-nodes
""".split()
# fields of Kubernetes' API that an example may have, by the field in which they stand; strings may be anything
FIELDS = {
    "": "apiVersion kind metadata spec",
    "metadata": "name labels",
    "Service spec": "selector ports",
    "ports": "port",
    "Job spec": "parallelism completions backoffLimit template",
    "template": "metadata spec",
    "template spec": "restartPolicy initContainers containers volumes",
    "containers": "name image command args workingDir resources volumeMounts",
    "initContainers": "name image command env restartPolicy startupProbe volumeMounts",
    "env": "name value",
    "startupProbe": "tcpSocket",
    "tcpSocket": "port",
    "resources": "requests limits",
    "requests": "cpu memory",
    "limits": "cpu memory",
    "volumeMounts": "name mountPath",
    "volumes": "name persistentVolumeClaim",
    "persistentVolumeClaim": "claimName",
}


def manifests(text=None):
    return list(yaml.safe_load_all(text or KUBERNETES.read_text("utf-8")))


def unknown(value, place="", kind=""):
    """Fields that FIELDS does not have, as a list of places."""
    if isinstance(value, list):
        return [bad for each in value for bad in unknown(each, place, kind)]
    if not isinstance(value, dict) or place in ("labels", "selector"):
        return []
    allowed = FIELDS.get(place, FIELDS.get(f"{kind} {place}", "")).split()
    found = [f"{place} {name}" for name in value if name not in allowed]
    for name, each in value.items():
        inner = "template spec" if (place, name) == ("template", "spec") else name
        found += unknown(each, inner, value.get("kind", kind))
    return found


def test_kubernetes_fields():
    for manifest in manifests():
        assert unknown(manifest) == []
    assert unknown(manifests(KUBERNETES.read_text("utf-8").replace("parallelism", "paralelism"))[2]) == [
        "spec paralelism"
    ]
    service, job, workers = manifests()
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
    pods = [each["spec"]["template"]["spec"] for each in (job, workers)]
    for pod in pods:
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    port = service["spec"]["ports"][0]["port"]
    assert f"tcp://{service['metadata']['name']}:{port}" in pods[1]["containers"][0]["command"]
    assert str(port) in pods[0]["initContainers"][0]["command"]
    assert pods[1]["containers"][0]["args"] == ["--memory-limit", "0"]  # a painter needs more than a share for a core


def test_what_dask_reads():
    """Names of its options and settings: a wrong one would be ignored."""
    from distributed.cli.dask_worker import main

    assert "--memory-limit" in {name for option in main.params for name in option.opts}
    assert dask.config.get("distributed.scheduler.allowed-failures") == 3
    [env] = manifests()[1]["spec"]["template"]["spec"]["initContainers"][0]["env"]
    read = dask.config.collect_env({env["name"]: env["value"]})
    assert read == {"distributed": {"scheduler": {"allowed_failures": 100}}}
    slurm = SLURM.read_text("utf-8")
    assert f"export {env['name']}={env['value']} " in slurm and "--nthreads 1 --memory-limit 0" in slurm


def test_kubernetes_schema():
    validate = pytest.importorskip("kubernetes_validate", reason="Kubernetes' schemas are a package of 22 MB")
    for manifest in manifests():
        for version in ("1.29", validate.latest_version()):
            validate.validate(manifest, version, strict=True)
    manifest["spec"]["paralelism"] = 3
    with pytest.raises(validate.ValidationError, match="paralelism"):
        validate.validate(manifest, "1.29", strict=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_slurm_options():
    text = SLURM.read_text("utf-8")
    subprocess.run(["bash", "-n", SLURM], check=True)
    assert text.startswith("#!/bin/bash\n")
    head = text[: re.search("^[^#\n]", text, re.M).start()]
    assert text.count("#SBATCH ") == head.count("#SBATCH ") > 3, "sbatch reads none after the first command"
    for name in re.findall("^#SBATCH (.*)", text, re.M):
        assert re.fullmatch(r"--([a-z-]+)=\S+", name)[1] in SBATCH


@pytest.mark.skipif(not shutil.which("sbatch"), reason="Slurm is not installed")
def test_slurm_parser(tmp_path):
    """sbatch reads the options before it looks for the cluster, of which there is none."""
    (tmp_path / "slurm.conf").write_text(
        "ClusterName=none\nSlurmctldHost=localhost\nSlurmctldPort=9\nAuthType=auth/none\nMessageTimeout=2\n"
    )

    def said(text):
        (tmp_path / "job").write_text(text)
        environment = os.environ | {"SLURM_CONF": str(tmp_path / "slurm.conf")}
        command = ["sbatch", "--test-only", "job", "photos", "painted"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stderr

    text = SLURM.read_text("utf-8")
    assert said(text).splitlines() == ["allocation failure: Unable to contact slurm controller (connect failure)"]
    assert "unrecognized option '--ntsks=4'" in said(text.replace("--ntasks", "--ntsks"))
    assert "Invalid --time" in said(text.replace("08:00:00", "8h"))


def test_commands():
    """What the jobs call has these options."""
    worker = pytest.importorskip("distributed.cli.dask_worker").main
    scheduler = pytest.importorskip("distributed.cli.dask_scheduler").main
    commands = [shlex.split(line, comments=True) for line in SLURM.read_text("utf-8").splitlines()]
    for manifest in manifests()[1:]:
        pod = manifest["spec"]["template"]["spec"]
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        commands += [each["command"] + each.get("args", []) for each in containers]
    called = dict.fromkeys(("worker", "scheduler", "paint"), 0)
    for words in commands:
        if "dask" in words:
            name, *options = words[words.index("dask") + 1 :]
            known = {"worker": worker, "scheduler": scheduler}[name].params
            known = {option for each in known for option in each.opts + each.secondary_opts}
            assert {option for option in options if option.startswith("--")} <= known
            called[name] += 1
        if "paint" in words:
            folder.parser().parse_args(words[words.index("paint") + 1 :])
            called["paint"] += 1
    assert set(called.values()) == {2}
