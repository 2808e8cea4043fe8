#!/usr/bin/env python3
"""What test_kubernetes asks of the manifests that kustomize made. Needs PyYAML.

  check DIR                   DIR/base.yaml, gpu.yaml, merge.yaml, files.yaml, volumes.yaml: what the schemas of
                              Kubernetes cannot say. Then each rule is shown to refuse a manifest that breaks it
  pod FILE RUNS DATA [INDEX]  the template of FILE's job as a pod for `podman kube play`, which takes no jobs: with its
                              ConfigMaps, with the folders RUNS and DATA in place of the claims, and, of an indexed
                              job, with the INDEX that Kubernetes would give it
  command FILE                the command of FILE's job, an argument a line
"""
import copy
import re
import sys
from pathlib import Path

import yaml

PARTS = ("base", "gpu", "merge", "files", "volumes")


def at(tree, path):
    """What lies at a path like containers.0.args; None if nothing does."""
    for key in path.split("."):
        try:
            tree = tree[int(key) if isinstance(tree, list) else key]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def put(tree, path, value):
    """Sets what lies at a path; None removes it."""
    parent, _, key = path.rpartition(".")
    tree = at(tree, parent) if parent else tree
    key = int(key) if isinstance(tree, list) else key
    if value is None:
        del tree[key]
    else:
        tree[key] = value


def job_of(documents):
    return next(document for document in documents if document["kind"] == "Job")


POD, SWEEP = "spec.template.spec", "spec.template.spec.containers.0"


def containers(job):
    return (at(job, f"{POD}.initContainers") or []) + at(job, f"{POD}.containers")


def volume(job, name):
    """A volume of the pod, and how its first container mounts it."""
    return (next((v for v in at(job, f"{POD}.volumes") if v["name"] == name), {}),
            next((m for m in at(job, f"{SWEEP}.volumeMounts") if m["name"] == name), {}))


def failure_rules(job, container):
    """{exit code or condition: action} of the rules, the first that fits; wrong ones are left out."""
    actions = {}
    for rule in at(job, "spec.podFailurePolicy.rules") or []:
        codes = rule.get("onExitCodes", {})
        if codes.get("operator") == "In" and codes.get("containerName") == container:
            for code in codes["values"]:
                actions.setdefault(code, rule["action"])
        for condition in rule.get("onPodConditions", []):
            if condition.get("status") == "True":     # a string: the schema lets any other pass, and it never fits
                actions.setdefault(condition["type"], rule["action"])
    return actions


def sweep_is_cut_once(job):
    """--shard auto/N with N the job's completions."""
    return f"--shard=auto/{at(job, 'spec.completions')}" in at(job, f"{SWEEP}.args")


def is_given_back_in_time(job):
    return (at(job, f"{POD}.terminationGracePeriodSeconds") or 30) >= 60


def is_hardened(container):
    return container.get("securityContext") == {
        "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def has_resources(container):
    return all(at(container, f"resources.{kind}.{what}")
               for kind in ("requests", "limits") for what in ("cpu", "memory"))


def is_full_image(image):
    """registry/name with a tag that is not latest, or with a digest."""
    return re.fullmatch(r"[^/]+/[^@]*[^/:@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})", image) is not None


# Each rule: what it says, whether a job keeps it, and changes (path → value, None: removed), each of which breaks it.
EVERY_JOB = [
    ("a pod that ends is not started again in place", lambda job: at(job, f"{POD}.restartPolicy") == "Never",
     [{f"{POD}.restartPolicy": "OnFailure"}, {f"{POD}.restartPolicy": None}]),
    ("no user is root, and the volume is writable for it",
     lambda job: at(job, f"{POD}.securityContext.runAsNonRoot") is True
     and at(job, f"{POD}.securityContext.runAsUser") > 0
     and at(job, f"{POD}.securityContext.fsGroup") == at(job, f"{POD}.securityContext.runAsGroup") > 0,
     [{f"{POD}.securityContext.runAsNonRoot": None}, {f"{POD}.securityContext.runAsUser": 0},
      {f"{POD}.securityContext.fsGroup": None}]),
    ("system calls are filtered", lambda job: at(job, f"{POD}.securityContext.seccompProfile.type") == "RuntimeDefault",
     [{f"{POD}.securityContext.seccompProfile": None},
      {f"{POD}.securityContext.seccompProfile.type": "Unconfined"}]),
    ("containers have a read-only root and no privileges", lambda job: all(map(is_hardened, containers(job))),
     [{f"{SWEEP}.securityContext.readOnlyRootFilesystem": False},
      {f"{SWEEP}.securityContext.allowPrivilegeEscalation": None},
      {f"{SWEEP}.securityContext.capabilities.drop": ["NET_RAW"]}, {f"{SWEEP}.securityContext": None}]),
    ("no token of the cluster", lambda job: at(job, f"{POD}.automountServiceAccountToken") is False,
     [{f"{POD}.automountServiceAccountToken": None}]),
    ("requests and limits of CPU and memory", lambda job: all(map(has_resources, containers(job))),
     [{f"{SWEEP}.resources.limits": None}, {f"{SWEEP}.resources.requests.memory": None}]),
    ("images with a registry and a tag", lambda job: all(is_full_image(c["image"]) for c in containers(job)),
     [{f"{SWEEP}.image": "genretree:cpu"}, {f"{SWEEP}.image": "registry.example.org/genretree"},
      {f"{SWEEP}.image": "registry.example.org/genretree:latest"}]),
    ("the error is in the pod's description",
     lambda job: all(c.get("terminationMessagePolicy") == "FallbackToLogsOnError" for c in containers(job)),
     [{f"{SWEEP}.terminationMessagePolicy": None}]),
    ("results lie on the claim genretree-runs", lambda job: volume(job, "runs") == (
        {"name": "runs", "persistentVolumeClaim": {"claimName": "genretree-runs"}},
        {"name": "runs", "mountPath": "/genretree/runs"}),
     [{f"{POD}.volumes": [{"name": "runs", "emptyDir": {}}]}]),
    ("a disruption is not the shard's fault",
     lambda job: failure_rules(job, at(job, f"{SWEEP}.name")).get("DisruptionTarget") == "Ignore",
     [{"spec.podFailurePolicy.rules.1.onPodConditions.0.status": "true"},
      {"spec.podFailurePolicy.rules.1.onPodConditions.0.type": "Disruption"},
      {"spec.podFailurePolicy.rules.1.action": "Count"}]),
    ("HDF5's locks are a setting", lambda job: at(job, f"{SWEEP}.env") == [
        {"name": "HDF5_USE_FILE_LOCKING", "value": "BEST_EFFORT"}],
     [{f"{SWEEP}.env": None}, {f"{SWEEP}.env.0.value": "from settings.env"}]),
    ("bad input ends the job", lambda job: failure_rules(job, at(job, f"{SWEEP}.name")).get(65) == "FailJob",
     [{"spec.podFailurePolicy.rules.0.action": "Ignore"}, {"spec.podFailurePolicy.rules.0.action": "failJob"},
      {"spec.podFailurePolicy.rules.0.onExitCodes.operator": "NotIn"},
      {"spec.podFailurePolicy.rules.0.onExitCodes.values": [64]},
      {"spec.podFailurePolicy.rules.0.onExitCodes.containerName": "main"}, {"spec.podFailurePolicy": None}]),
]
SWEEP_JOB = EVERY_JOB + [
    ("pods have an index", lambda job: at(job, "spec.completionMode") == "Indexed",
     [{"spec.completionMode": "NonIndexed"}, {"spec.completionMode": "indexed"}, {"spec.completionMode": None}]),
    ("completions are the N of --shard auto/N", sweep_is_cut_once,
     [{"spec.completions": 7}, {"spec.completions": 9}, {f"{SWEEP}.args.0": "--shard=auto/80"},
      {f"{SWEEP}.args.0": None}]),
    ("all shards at once, if there is room", lambda job: at(job, "spec.parallelism") == at(job, "spec.completions"),
     [{"spec.parallelism": 1}]),
    ("each shard has tries of its own",
     lambda job: at(job, "spec.backoffLimitPerIndex") >= 1 and at(job, "spec.backoffLimit") is None,
     [{"spec.backoffLimitPerIndex": None}, {"spec.backoffLimit": 6}]),
    ("a few failed shards end the job", lambda job: 0 <= at(job, "spec.maxFailedIndexes") < at(job, "spec.completions"),
     [{"spec.maxFailedIndexes": None}, {"spec.maxFailedIndexes": 9}]),
    ("a stop with everything saved is no failure", lambda job: failure_rules(job, "sweep").get(75) == "Ignore",
     [{"spec.podFailurePolicy.rules.2": None}, {"spec.podFailurePolicy.rules.2.action": "FailIndex"}]),
    ("never two pods on a shard", lambda job: at(job, "spec.podReplacementPolicy") == "Failed",
     [{"spec.podReplacementPolicy": "TerminatingOrFailed"}, {"spec.podReplacementPolicy": None}]),
    ("time to write checkpoints at a stop", is_given_back_in_time,
     [{f"{POD}.terminationGracePeriodSeconds": None}, {f"{POD}.terminationGracePeriodSeconds": 5}]),
    ("a pod goes on where another stopped", lambda job: "--resume" in at(job, f"{SWEEP}.args"),
     [{f"{SWEEP}.args.3": None}]),
    ("data are only read", lambda job: [part.get("readOnly") or at(part, "persistentVolumeClaim.readOnly")
                                        for part in volume(job, "data")] == [True, True],
     [{f"{SWEEP}.volumeMounts.1.readOnly": None}, {f"{POD}.volumes.1.persistentVolumeClaim.readOnly": False}]),
]
BASE_JOB = SWEEP_JOB + [
    ("one instruction set on all nodes", lambda job: "--set=backend.target=avx2" in at(job, f"{SWEEP}.args"),
     [{f"{SWEEP}.args.2": "--set=backend.target"}]),
]
GPU_JOB = SWEEP_JOB + [
    ("a GPU for each container", lambda job: all(at(c, "resources.limits")["nvidia.com/gpu"] == 1
                                                 for c in containers(job)),
     [{f"{SWEEP}.resources.limits": {"cpu": "4", "memory": "4Gi"}},
      {f"{POD}.initContainers.0.resources.limits": {"cpu": "4", "memory": "4Gi"}}]),
    ("computed on the GPU", lambda job: "--backend=cuda" in at(job, f"{SWEEP}.args"),
     [{f"{SWEEP}.args.2": "--backend=cpu"}]),
    ("the GPU is checked before, in the image of the sweep",
     lambda job: at(job, f"{POD}.initContainers.0.command") == ["check_device", "--backend", "cuda"]
     and {c["image"] for c in containers(job)} == {"registry.example.org/genretree:cuda"},
     [{f"{POD}.initContainers": None}, {f"{POD}.initContainers.0.command": ["check_device"]},
      {f"{SWEEP}.image": "registry.example.org/genretree:cpu"}]),
]
MERGE_JOB = EVERY_JOB + [
    ("one pod", lambda job: at(job, "spec.completions") == at(job, "spec.parallelism") == 1, [{"spec.completions": 2}]),
    ("missing results are not tried again", lambda job: failure_rules(job, "merge").get(4) == "FailJob",
     [{"spec.podFailurePolicy.rules.0.onExitCodes.values": [65]}]),
]


def is_shared(claim):
    return at(claim, "spec.accessModes") == ["ReadWriteMany"]


def check(parts):
    """Whether all rules hold and all that breaks one is refused; a line for each."""
    rules = {"base": BASE_JOB, "gpu": GPU_JOB, "merge": MERGE_JOB}
    jobs = {name: job_of(parts[name]) for name in rules}

    def keeps(holds, job):
        try:
            return bool(holds(job))
        except (AttributeError, KeyError, TypeError):  # what it asks for is not there
            return False

    for name, job in jobs.items():
        broken = [what for what, holds, _ in rules[name] if not keeps(holds, job)]
        say(not broken, f"{name}: {len(rules[name])} rules", broken)
    changes, accepted = 0, []
    for name, job in jobs.items():
        for what, holds, breaking in rules[name]:
            for change in breaking:
                changed = copy.deepcopy(job)
                for path, value in change.items():
                    put(changed, path, value)
                changes += 1
                if keeps(holds, changed):
                    accepted.append(f"{name}: {change} is accepted by '{what}'")
    say(not accepted, f"{changes} changes that break a rule are refused", accepted)

    claims = {claim["metadata"]["name"]: claim for claim in parts["volumes"]}
    wanted = {v["persistentVolumeClaim"]["claimName"] for job in jobs.values() for v in at(job, f"{POD}.volumes")
              if "persistentVolumeClaim" in v}
    wanted |= {v["persistentVolumeClaim"]["claimName"] for v in parts["files"][0]["spec"]["volumes"]}
    say(set(claims) == wanted, "the jobs' claims are those of volumes", [f"{sorted(wanted)}, {sorted(claims)}"])
    say(all(map(is_shared, claims.values())), "pods on several nodes may share them", ["accessModes"])
    sweep_out = at(jobs["base"], f"{SWEEP}.args.1")
    merged = at(jobs["merge"], f"{SWEEP}.args.0")
    say(sweep_out == f"--out={merged}", "the merge reads what the sweep wrote", [sweep_out, merged])
    leaked = [d["metadata"]["name"] for part in parts.values() for d in part if d["metadata"]["name"] == "settings"]
    say(not leaked, "the settings go to no cluster", leaked)
    left = [name for name, part in parts.items() if "from settings.env" in yaml.safe_dump(part)]
    say(not left, "every setting has arrived", left)


def say(good, what, flaws):
    print(f"ok: {what}" if good else f"FAILED: {what}: {'; '.join(map(str, flaws))}")


def pod(documents, runs, data, index):
    job = job_of(documents)
    template = job["spec"]["template"]
    spec = template["spec"]
    folders = {"genretree-runs": runs, "genretree-data": data}
    for each in spec["volumes"]:
        if "persistentVolumeClaim" in each:
            each["hostPath"] = {"path": folders[each.pop("persistentVolumeClaim")["claimName"]], "type": "Directory"}
    name = job["metadata"]["name"]
    if index is not None:
        name += f"-{index}"
        for container in containers(job):
            container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": index})
    lifted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}, "spec": spec}
    return [d for d in documents if d["kind"] == "ConfigMap"] + [lifted]


def load(path):
    return list(yaml.safe_load_all(Path(path).read_text()))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "check":
        check({name: load(Path(arguments[1]) / f"{name}.yaml") for name in PARTS})
    elif len(arguments) in (4, 5) and arguments[0] == "pod":
        print(yaml.safe_dump_all(pod(load(arguments[1]), *arguments[2:4], (arguments + [None])[4])))
    elif len(arguments) == 2 and arguments[0] == "command":
        print("\n".join(at(job_of(load(arguments[1])), f"{SWEEP}.command")))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
