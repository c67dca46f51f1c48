"""The graph of the workflow: which jobs there are, and when they are called again."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from companion.experiments import plan
from tests import checkout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout.copy(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def whole_book(folder: Path) -> str:
    """What Snakemake says of a fresh checkout."""
    return checkout.finish(checkout.snakemake(folder, "--dry-run", "--printshellcmds"))


def jobs(said: str) -> dict[str, int]:
    """Name of each rule to the number of its jobs that would run."""
    table = said.split("Job stats:")[-1]
    return {name: int(n) for name, n in re.findall(r"^([a-z_]+) +(\d+)$", table, re.MULTILINE)}


def test_a_fresh_checkout_makes_everything(folder: Path, whole_book: str) -> None:
    found = jobs(whole_book)
    plans = [json.loads(file.read_text())["plan"] for file in folder.glob("runs/tiny/*/plan.json")]
    each = ("cohort", "generator", "quality", "results_table")
    expected = dict.fromkeys(each, len(plans)) | {
        "bank": sum(len(set(found["banks"].values())) for found in plans),
        "pretraining": sum(len(found["encoders"]) for found in plans),
        "evaluation": sum(len(found["encoders"]) + len(found["controls"]) for found in plans),
        "notebook": len(plans) * len(plan.NOTEBOOKS) + len(plan.LECTURES),
        "lectures": 1,
        "book": 1,
    }
    assert found == expected | {"total": sum(expected.values())}


def test_here_one_process_probes_and_finetunes(whole_book: str) -> None:
    """On a cluster these are jobs of their own, and only one of them asks for a GPU."""
    assert " run evaluate " in whole_book
    assert " run evaluation " not in whole_book


@pytest.fixture(scope="module")
def results_of_medmnist(folder: Path) -> str:
    """What is said of the results of a cohort whose images are read from files."""
    config = ["cohort=medmnist", "data_root=007", "on_bad_image=skip", "on_changed_data=reimport"]
    wanted = ["--dry-run", "--printshellcmds", "results"]
    return checkout.finish(checkout.snakemake(folder, *wanted, config=config))


def test_results_are_all_that_claims_need_and_what_a_cohort_cannot_have_is_said(
    results_of_medmnist: str,
) -> None:
    assert "cohort medmnist: Strategy 'sexcf' is left out: " in results_of_medmnist
    planned = jobs(results_of_medmnist).keys()
    assert {"results_table", "quality"} <= planned
    assert not {"notebook", "book"} & planned


def rules_in(snakefile: str) -> dict[str, tuple[str, str, str]]:
    """Cores, memory and time of the rules that ask for some."""
    cores = {"CORES_PER_GENERATOR": "8", "CORES_PER_ENCODER": "4"}  # of a cluster
    pattern = (
        r'^(\w+):.*?threads: (\w+)(?: if CORES is None else 1)?$.*?mem_mb=(\d+),\s+runtime="(\w+)"'
    )
    each = snakefile.split("\nrule ")[1:]
    found = [m.groups() for rule in each if (m := re.match(pattern, rule, re.M | re.S))]
    return {name: (cores.get(threads, threads), *rest) for name, threads, *rest in found}


def rules_with_networks() -> set[str]:
    """The rules that train networks or run a generator: every step but three."""
    rules = (checkout.ROOT / "workflow/Snakefile").read_text().split("\nrule ")[1:]
    without = {"cohort", "evaluation", "results_table"}
    return {rule.partition(":")[0] for rule in rules if "} run " in rule} - without


def test_the_page_on_scaling_says_what_the_rules_ask_for() -> None:
    found = rules_in((checkout.ROOT / "workflow/Snakefile").read_text())
    page = (checkout.ROOT / "book/scaling.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\d+) \| (\w+) \|$", page, re.MULTILINE)
    assert {name: tuple(rest) for name, *rest in rows} == found


def test_the_profile_for_slurm_gives_rules_gpus_and_those_start_as_many_processes(
    folder: Path, whole_book: str
) -> None:
    profile = checkout.ROOT / "workflow/profiles/slurm"
    named = yaml.safe_load((profile / "config.yaml").read_text())["set-resources"]
    assert set(named) == rules_with_networks()
    # Without, SLURM gathers the GPUs of a job from several nodes.
    assert all(asked["nodes"] == 1 for asked in named.values())
    here = ["--profile", str(profile), "--executor", "local", "--dry-run", "--printshellcmds"]
    chosen = [*here, "--resources", "gpu=4", "--set-resources", "generator:gpu=4"]
    said = checkout.finish(checkout.snakemake(folder, *chosen, "--until", "generator"))
    for text, several in ((said, True), (whole_book, False)):
        commands = [line for line in text.splitlines() if "companion run generator" in line]
        assert commands
        for line in commands:
            assert ("torch.distributed.run" in line) == several
            assert ("--nproc-per-node 4 -m companion" in line) == several


def test_a_job_on_a_cluster_uses_the_cores_that_its_rule_asks_for(folder: Path) -> None:
    """And not those of its node, which is what Snakemake then says there is."""
    within = ["--mode", "remote", "--cores", "64", "--dry-run", "--printshellcmds"]
    said = checkout.finish(checkout.snakemake(folder, *within, "--until", "results_table"))
    commands = re.findall(r"OMP_NUM_THREADS=(\d+) .* companion run (\w+)", said)
    used = {step: cores for cores, step in commands}
    rules = rules_in((checkout.ROOT / "workflow/Snakefile").read_text())
    assert {"generator", "pretraining", "evaluation", "finetuning"} <= set(used)
    assert used.pop("results") == "1"
    assert used == {step: rules[step][0] for step in used}


HARD = 'study #2: {x} "b" o\'brien größe'


@pytest.mark.parametrize(("name", "by"), [("007", "--config"), (HARD, "make")])
def test_data_root_and_what_to_do_about_bad_data_reach_the_import(
    name: str,
    by: str,
    folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snakemake's own `config` has numbers, mappings and no comments; a shell has its own mind."""
    cohort = "medmnist" if by == "--config" else "phantom-chest"
    if by == "--config":
        said = request.getfixturevalue("results_of_medmnist")
    else:
        for setting, value in (("DATA_ROOT", name), ("ON_BAD_IMAGE", "skip")):
            monkeypatch.setenv(f"CCL_{setting}", value)
        monkeypatch.setenv("CCL_ON_CHANGED_DATA", "reimport")
        asked = ["--dry-run", "--printshellcmds", "--until", "cohort"]
        said = checkout.finish(checkout.snakemake(folder, *asked))
    file = folder / "runs" / "tiny" / cohort / "plan.json"
    assert json.loads(file.read_text(encoding="utf-8"))["data_root"] == name
    lines = [line for line in said.splitlines() if " run cohort " in line]
    assert all("--on-bad-image skip --on-changed-data reimport" in line for line in lines)
    commands = [shlex.split(line) for line in lines]
    roots = [line[line.index("--data-root") + 1] for line in commands if "--data-root" in line]
    assert roots == [name]
