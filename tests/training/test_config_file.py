from pathlib import Path

import pytest

from lc_trt.errors import UsageError
from lc_trt.training.config_file import read_config

MINIMAL = """
data: {root: somewhere}
phases:
  - {loss: deep, epochs: 2, optimizer: {rate: 1e-3}}
  - {loss: cascade, epochs: 1}
"""
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL)
    return path


def test_reads_fields_and_defaults(file):
    config = read_config(file)
    assert config.data.root == "somewhere"
    assert [phase.loss for phase in config.phases] == ["deep", "cascade"]
    assert config.phases[0].optimizer.rate == 1e-3  # YAML 1.1 takes 1e-3 for a text
    assert config.batch == 4


def test_overrides_are_applied_after_the_file(file):
    changes = [
        "batch=7",
        "augment.jitter=0.1",
        "augment.crop=[64, 96]",
        "phases.1.epochs=9",
        "phases.0.optimizer.rate=5e-4",
        "init=null",
        "data.root=a=b",
    ]
    config = read_config(file, changes)
    assert (config.batch, config.augment.jitter, config.augment.crop) == (7, 0.1, (64, 96))
    assert (config.phases[0].optimizer.rate, config.phases[1].epochs) == (5e-4, 9)
    assert config.data.root == "a=b"
    assert read_config(file, ["phases=[{loss: final, epochs: 3}]"]).phases[0].loss == "final"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batch", "--set 'batch': expected FIELD=VALUE"),
        ("=3", "expected FIELD=VALUE"),
        ("batch=[", "not YAML"),
        ("phases.2.epochs=1", "no field '2' in the file's 'phases.2.epochs'"),
        ("phases.x=1", "no field 'x'"),
        ("data.root.name=1", "no field 'name'"),
        ("bach=3", "unknown field 'bach'; expected one of preset, encoder"),
        ("augment.corp=3", "unknown field 'augment.corp'; expected one of crop, scale, aspect"),
        ("phases.0.exit.by_=3", "unknown field 'phases.0.exit.by_'; expected one of by, rho"),
        ("batch=many", r"batch 'many': .*valid integer"),
        ("batch=0", r"batch 0: .*greater than 0"),
        ("augment.scale=[2, 1]", r"augment.scale \[2, 1\]: expected the smaller number first"),
        ("phases.0={epochs: 1}", "lacks the field 'phases.0.loss'"),
        ("phases=3", "phases 3: "),
    ],
)
def test_a_wrong_override_is_a_one_line_error(file, change, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_config(file, [change])
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "list, expected fields and values"),
        (b"", "NoneType, expected fields"),
        (b"phases: [", "not YAML"),
        (b"\xff\xfe\x00", "cannot be read|not YAML"),
        (b"!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_broken_file_is_a_one_line_error(tmp_path, content, message):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_names_the_examples(tmp_path):
    with pytest.raises(UsageError, match=r"none\.yaml: no such file; .*configs/"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_the_shipped_configurations_can_be_read(path):
    assert read_config(path).phases
    assert path.read_text().startswith("# ")


def test_configurations_are_shipped():
    assert len(CONFIGS) >= 3


@pytest.mark.parametrize("peer", ["pidnet-s", "ddrnet-23-slim"])
def test_peers_train_as_the_cascade_that_they_are_compared_with(peer):
    own, other = (
        read_config(CONFIGS[0].parent / f"{name}-camvid.yaml") for name in ("lite2", peer)
    )
    network = {"preset", "encoder", "phases", "validate_rho"}
    assert own.model_dump(exclude=network) == other.model_dump(exclude=network)
    ((phase,), (published,)) = own.phases, other.phases
    loss = {"loss", "weights", "optimizer"}
    assert phase.model_dump(exclude=loss) == published.model_dump(exclude=loss)
    rates = {"rate", "head_rate"}
    assert phase.optimizer.model_dump(exclude=rates) == published.optimizer.model_dump(
        exclude=rates
    )
    assert published.optimizer.rate == pytest.approx(
        phase.optimizer.rate * phase.optimizer.head_rate
    )
