"""The example for KubeRay and the runtime environment: fields, flags and versions that exist.

Fields and types are those of KubeRay's RayJob (ray.io/v1), as its repository has them in
ray-operator/apis/ray/v1/rayjob_types.go (at f6ef3f7) and raycluster_types.go (at 3275ee0), and as
its docs/reference/api.md lists them; of a pod (core/v1), those parts that may be of use here.
"""

import re
import shlex
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.builders import ROOT
from tests.launch.scripts import load_script

search = load_script("search")
JOB = ROOT / "launch" / "rayjob.yaml"
RUNTIME = ROOT / "launch" / "runtime_env.yaml"

TEXTS = {str: str}  # a map of texts to texts
QUANTITIES = {"cpu": str, "memory": str, "nvidia.com/gpu": str, "ephemeral-storage": str}
CONTAINER = {
    "name": str,
    "image": str,
    "imagePullPolicy": str,
    "command": [str],
    "args": [str],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
    "env": [{"name": str, "value": str}],
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "readOnly": bool}],
}
POD = {
    "metadata": {"labels": TEXTS, "annotations": TEXTS},
    "spec": {
        "containers": [CONTAINER],
        "volumes": [
            {
                "name": str,
                "persistentVolumeClaim": {"claimName": str, "readOnly": bool},
                "emptyDir": {"medium": str, "sizeLimit": str},
            }
        ],
        "nodeSelector": TEXTS,
        "restartPolicy": str,
        "serviceAccountName": str,
    },
}
HEAD = {
    "template": POD,
    "headService": dict,
    "enableIngress": bool,
    "rayStartParams": TEXTS,
    "serviceType": str,
}
WORKERS = {
    "suspend": bool,
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "idleTimeoutSeconds": int,
    "rayStartParams": TEXTS,
    "template": POD,
    "scaleStrategy": {"workersToDelete": [str]},
    "numOfHosts": int,
}
CLUSTER = {
    "suspend": bool,
    "managedBy": str,
    "autoscalerOptions": dict,
    "headServiceAnnotations": TEXTS,
    "enableInTreeAutoscaling": bool,
    "gcsFaultToleranceOptions": dict,
    "headGroupSpec": HEAD,
    "rayVersion": str,
    "workerGroupSpecs": [WORKERS],
}
SPEC = {
    "activeDeadlineSeconds": int,
    "backoffLimit": int,
    "rayClusterSpec": CLUSTER,
    "submitterPodTemplate": POD,
    "metadata": TEXTS,
    "clusterSelector": TEXTS,
    "submitterConfig": {"backoffLimit": int},
    "managedBy": str,
    "deletionPolicy": str,
    "entrypoint": str,
    "runtimeEnvYAML": str,
    "jobId": str,
    "submissionMode": str,
    "entrypointResources": str,
    "entrypointNumCpus": float,
    "entrypointNumGpus": float,
    "ttlSecondsAfterFinished": int,
    "shutdownAfterJobFinishes": bool,
    "suspend": bool,
}
RAY_JOB = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str, "labels": TEXTS, "annotations": TEXTS},
    "spec": SPEC,
}
REQUIRED = {  # fields without omitempty
    "headGroupSpec": {"template", "rayStartParams"},
    "workerGroupSpecs": {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"},
    "rayClusterSpec": {"headGroupSpec"},
}
MODES = {"K8sJobMode", "HTTPMode", "InteractiveMode"}


def misfits(value: Any, wanted: Any, where: str) -> list[str]:
    """Return what does not fit the types, each with its place."""
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [text for each in value for text in misfits(each, wanted[0], where)]
    if not isinstance(wanted, dict):
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        return [] if fits else [f"{where}: {value!r} is no {wanted.__name__}"]
    if not isinstance(value, dict):
        return [f"{where}: no object"]
    missing = REQUIRED.get(where.rpartition(".")[2], set()) - set(value)
    found = [f"{where}: without {name}" for name in sorted(missing)]
    for name, part in value.items():
        if name not in wanted and str not in wanted:
            found.append(f"{where}: unknown field {name}")
        else:
            found += misfits(part, wanted.get(name, wanted.get(str)), f"{where}.{name}")
    return found


def read(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text())


def dependencies() -> dict[str, Requirement]:
    """Return what pyproject.toml asks for, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {each.name: each for each in map(Requirement, project["dependencies"])}


@pytest.fixture
def job() -> Any:
    """Return the example."""
    return read(JOB)


def test_the_example_has_fields_that_kuberay_knows_with_their_types(job: Any) -> None:
    assert misfits(job, RAY_JOB, "job") == []
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["submissionMode"] in MODES


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("spec.backofLimit", 3, "job.spec: unknown field backofLimit"),
        ("spec.backoffLimit", "3", "job.spec.backoffLimit: '3' is no int"),
        ("spec.shutdownAfterJobFinishes", 1, "job.spec.shutdownAfterJobFinishes: 1 is no bool"),
        (
            "spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus",
            0,
            "job.spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus: 0 is no str",
        ),
        (
            "spec.rayClusterSpec.headGroupSpec",
            {"template": {}},
            "job.spec.rayClusterSpec.headGroupSpec: without rayStartParams",
        ),
        (
            "spec.rayClusterSpec.workerGroupSpecs",
            {},
            "job.spec.rayClusterSpec.workerGroupSpecs: no list",
        ),
    ],
)
def test_a_field_that_kuberay_would_refuse_is_found(
    job: Any, place: str, value: Any, told: str
) -> None:
    wrong = deepcopy(job)
    *folders, name = place.split(".")
    part = wrong
    for folder in folders:
        part = part[folder]
    part[name] = value

    assert misfits(wrong, RAY_JOB, "job") == [told]


def test_its_entrypoint_is_a_command_that_the_search_understands(job: Any) -> None:
    python, script, *flags = shlex.split(job["spec"]["entrypoint"])
    command = search.parse(flags)

    assert (python, script) == ("python", "launch/search.py")
    assert (ROOT / script).is_file()
    assert command.run is not None


def test_images_and_results_lie_on_the_volume_that_all_pods_mount(job: Any) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    command = search.parse(shlex.split(job["spec"]["entrypoint"])[2:])
    for pod in pods:
        spec = pod["template"]["spec"]
        (container,) = spec["containers"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] in {volume["name"] for volume in spec["volumes"]}
        for path in (command.run, command.settings.data):
            assert str(path).startswith(f"{mount['mountPath']}/")


def test_the_head_offers_no_cpus_to_ray_but_has_some_for_the_driver(job: Any) -> None:
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]
    (container,) = head["template"]["spec"]["containers"]

    assert head["rayStartParams"]["num-cpus"] == "0"
    assert int(container["resources"]["requests"]["cpu"]) >= 1


def test_images_and_version_are_of_one_ray_that_raynas_accepts(job: Any) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = [pod["template"]["spec"]["containers"][0]["image"] for pod in pods]
    tags = [re.fullmatch(r"rayproject/ray:([\d.]+)-py(\d)(\d+)-[cg]pu", image) for image in images]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    for tag in tags:
        assert tag is not None
        assert tag[1] == cluster["rayVersion"]
        assert dependencies()["ray"].specifier.contains(tag[1])
        python = Requirement(f"python{project['requires-python']}")
        assert python.specifier.contains(f"{tag[2]}.{tag[3]}")


def test_both_files_install_what_pyproject_asks_for_but_ray(job: Any) -> None:
    wanted = {str(each) for name, each in dependencies().items() if name != "ray"}
    inside = yaml.safe_load(job["spec"]["runtimeEnvYAML"])

    assert set(read(RUNTIME)["pip"]) == wanted
    assert inside == read(RUNTIME) | {"working_dir": "file:///shared/raynas.zip"}


def test_ray_accepts_the_runtime_environment() -> None:
    from ray.runtime_env import RuntimeEnv  # noqa: PLC0415 - it takes a while

    assert set(RuntimeEnv(**read(RUNTIME))["pip"]["packages"]) == set(read(RUNTIME)["pip"])
