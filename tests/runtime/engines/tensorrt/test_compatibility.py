"""What is checked before TensorRT sees a plan, and where it is loaded."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pytest
from fake_tensorrt import fake_manifest, fake_plan
from toy_models import SIZE, bgr

import lc_trt
from lc_trt.bundle.bundle import PLAN, PLUGINS, SOURCE, write_bundle
from lc_trt.bundle.sections import PluginRecord
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.engines.tensorrt.engine import open_plan
from lc_trt.utils import machine

RHO = np.array([0.9, 0.8], np.float32)
HERE = machine.Gpu("Fake 1", "8.9")


@pytest.fixture
def create(trt):
    """Opens a plan with a manifest's sections."""

    def create(plan=None, device=None, **sections):
        manifest = fake_manifest(**sections)
        return open_plan(
            plan or fake_plan(),
            trt.facade(),
            build=manifest.tensorrt,
            built_on=manifest.gpu,
            plugin=None,
            library=None,
            device=device,
        )

    return create


@pytest.fixture
def refusal(create):
    """The one line that opening a plan fails with."""

    def refusal(*arguments, **keywords) -> str:
        with pytest.raises(LcTrtError) as caught:
            create(*arguments, **keywords)
        text = str(caught.value)
        assert "\n" not in text and not isinstance(caught.value, UsageError)
        return text

    return refusal


@pytest.fixture
def bundle(toolchain, tmp_path):
    """Writes bundles whose plugin library is a file that only looks like one."""

    def write(library=b"\x7fELF lc_trt plugins, version 1\0", sha256=None, **changes):
        digest = sha256 or hashlib.sha256(library).hexdigest()
        entry = PluginRecord("lc_trt", "1", digest, PLUGINS)
        manifest = fake_manifest(plugin=entry, gpu=HERE, **changes)
        files = {PLAN: fake_plan(), SOURCE: b"source", PLUGINS: library}
        return write_bundle(tmp_path / "fake.lct", manifest, files).path

    return write


def test_a_bundle_segments_frames(bundle, trt):
    path = bundle()
    with lc_trt.load(path, device=0) as segmenter:
        assert segmenter.engine.device == "cuda:0"
        result = segmenter(bgr(0, 0, 200, (77, 99)))
        assert result.labels.shape == (77, 99) and (result.labels == 3).all()
        assert result.shares == (0, 0, 1)
    assert trt.loaded == [str(path / PLUGINS)]


def test_the_plugin_library_is_loaded_only_if_it_is_the_manifests(bundle, trt):
    with pytest.raises(LcTrtError, match=r"is not the plugin library of this bundle \(SHA-256"):
        lc_trt.load(bundle(sha256="0" * 64))
    with pytest.raises(LcTrtError, match="plugins of version 2, this lc-trt needs version 1"):
        lc_trt.load(bundle(b"\x7fELF lc_trt plugins, version 2\0"))
    with pytest.raises(LcTrtError, match=r"lc-trt build MODEL\.onnx --backend tensorrt"):
        lc_trt.load(bundle(b"\x7fELF lc_trt plugins, version 2\0"))
    with pytest.raises(LcTrtError, match="is no plugin library of lc-trt"):
        lc_trt.load(bundle(b"\x7fELF another"))
    path = bundle()
    (path / PLUGINS).write_bytes(b"\x7fELF lc_trt plugins, version 1\0 and more")
    with pytest.raises(LcTrtError, match="was truncated or edited"):
        lc_trt.load(path)
    assert trt.loaded == []


def test_a_plan_of_another_version_is_refused(create, refusal):
    for version in ("11.3.0.99", "11.4.1.1", "10.14.1.48"):
        text = refusal(tensorrt={"version": version})
        assert f"built with tensorrt {version} and needs exactly that version" in text
        assert "this machine has 11.4.0.106" in text and "pip install tensorrt==" in text
    create(tensorrt={"version": "11.4.0.1"}).close()  # another build of the same release
    create(tensorrt={"version": "11.1.0.1", "version_compatible": True}).close()
    for version in ("10.13.0.1", "11.5.0.1"):
        text = refusal(tensorrt={"version": version, "version_compatible": True})
        assert "x from that version" in text


@pytest.mark.parametrize(
    ("gpu", "facts", "expected"),
    [
        (machine.Gpu("Fake 2", "8.6"), {}, "built for compute capability 8.6"),
        (
            machine.Gpu("Old", "7.5"),
            {},
            "7.5 (Old), cuda:0 is Fake 1",
        ),
        (None, {"compute_capabilities": ("8.0", "8.6")}, "capability 8.0 or 8.6, cuda:0"),
        (HERE, {"compute_capabilities": ("8.6",)}, "capability 8.6, cuda:0 is Fake 1 with 8.9"),
    ],
)
def test_a_plan_for_another_gpu_is_refused(refusal, gpu, facts, expected):
    text = refusal(gpu=gpu, tensorrt=facts)
    assert expected in text and "lc-trt build MODEL.onnx --backend tensorrt" in text
    # The second GPU has 8.6.
    assert ("take cuda:1 (--device), or build" in text) == ("8.6" in expected)


def test_every_other_gpu_that_would_do_is_named(trt, refusal):
    trt.cuda.gpus = (("Turing", (7, 5)), ("Ampere", (8, 6)), ("Turing", (7, 5)), ("Ada", (8, 9)))
    text = refusal(gpu=HERE, tensorrt={"hardware_compatible": True})
    assert "cuda:0 is Turing with 7.5; take cuda:1 or cuda:3 (--device), or build it again" in text


@pytest.mark.parametrize(
    ("gpu", "facts"),
    [
        (HERE, {}),
        (None, {"compute_capabilities": ("8.6", "8.9")}),
        (machine.Gpu("A100", "8.0"), {"hardware_compatible": True}),
    ],
)
def test_a_plan_that_fits_is_loaded(create, gpu, facts):
    create(gpu=gpu, tensorrt=facts).close()


def test_a_plan_for_gpus_from_ampere_on_is_refused_on_an_older_one(trt, refusal):
    trt.cuda.gpus = (("Turing", (7, 5)),)
    text = refusal(gpu=HERE, tensorrt={"hardware_compatible": True})
    assert "built for compute capability 8.0 or newer, cuda:0 is Turing with 7.5" in text


def test_another_gpu_of_the_same_kind_is_warned_of(create, caplog):
    with caplog.at_level(logging.WARNING, "lc_trt"):
        create(gpu=machine.Gpu("Fake 3", "8.9")).close()
    (record,) = caplog.records
    assert "was tuned on Fake 3, this is Fake 1" in record.message


def test_what_is_no_plan_is_refused_with_tensorrts_reason(refusal):
    text = refusal(plan=b"random bytes")
    assert "tensorrt 11.4.0.106 cannot load it on Fake 1" in text
    assert "magicTag failed" in text and "[fake.cpp" not in text
    assert "image is int8, expected uint8" in refusal(plan=fake_plan(image="i1"))


def test_the_device_is_chosen_by_name(create, driver):
    second = {"gpu": machine.Gpu("Fake 2", "8.6"), "device": "cuda:1"}
    engine = create(**second)
    assert engine.device == "cuda:1"
    engine.run(np.zeros((1, *SIZE, 3), np.uint8), RHO)
    assert {memory.context for memory in driver.memory.values()} == {1001}
    engine.close()
    for device, said in (
        ("cuda:2", "device cuda:2: expected cuda:0 to cuda:1, the GPUs that CUDA shows"),
        ("gpu", "device 'gpu': expected cpu, cuda, cuda:N or a GPU's number"),
        ("cuda:-1", "device 'cuda:-1': expected cpu, cuda, cuda:N or a GPU's number"),
        ("cpu", "device cpu: expected cuda, .* --backend openvino"),
    ):
        with pytest.raises(UsageError, match=said):
            create(device=device)


def test_the_current_context_is_taken_and_left_current(create, driver):
    mine = driver.new_context(1)  # as pycuda.autoinit makes one, on the second GPU
    driver.stack.append(mine)
    facts = {"gpu": machine.Gpu("Fake 2", "8.6")}
    engine = create(**facts)
    assert engine.device == "cuda:1" and driver.primary == {}
    engine.run(np.zeros((1, *SIZE, 3), np.uint8), RHO)
    assert {memory.context for memory in driver.memory.values()} == {mine}
    assert driver.stack == [mine]
    other = create(device="cuda:0")  # asked for by name: the primary context of another GPU
    other.run(np.zeros((1, *SIZE, 3), np.uint8), RHO)
    assert driver.stack == [mine] and driver.primary == {0: 1}
    other.close()
    engine.close()
    driver.stack.pop()
