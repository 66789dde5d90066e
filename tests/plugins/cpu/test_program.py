"""Region programs against PyTorch's region operators, and their memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
import torch
from native_cases import Array, blob_scores
from torch import nn

from lc_trt.model.region import CompactRegion, MaskedRegion, Region, repeat_children
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.program import Program, ProgramBuilder
from lc_trt.runtime.native.rows import Layout

SIZE2, SIZE3 = (9, 14), (17, 28)  # at strides 8 and 4; the first is half of the second, rounded up
C, MID, OUT, DETAIL = 40, 32, 24, 20


def conv(cin: int, cout: int, kernel: int | tuple[int, int] = 1, dilation: int = 1) -> nn.Conv2d:
    k = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (dilation * (k[0] // 2), dilation * (k[1] // 2))
    return nn.Conv2d(cin, cout, k, dilation=dilation, padding=padding, dtype=torch.float64)


def parameters(layer: nn.Conv2d) -> dict[str, Array]:
    return {
        "weight": np.ascontiguousarray(layer.weight.detach().numpy().astype(np.float32)),
        "bias": layer.bias.detach().numpy().astype(np.float32),
    }


class ExactStages:
    """Two stages as of a cascade on an encoder: spatial layers read dense maps."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.spatial2 = [conv(C, MID, 3, d) for d in (1, 2, 4)]
        self.mix2 = conv(3 * MID + C, OUT)
        self.head2 = conv(OUT, 5)
        self.spatial3 = conv(DETAIL, MID, 3, 2)
        self.mix3 = conv(MID + DETAIL + OUT, OUT)
        self.head3 = conv(OUT, 5)

    def reference(
        self, region: type[Region], context: Array, detail: Array, mask2: Array, mask3: Array
    ) -> Array:
        """Logits at stride 4, [N, 5, h, w]; those of stage 1 are -1."""
        x, y = torch.from_numpy(context).double(), torch.from_numpy(detail).double()
        region2 = region(torch.from_numpy(mask2)[:, None])
        region3 = region(torch.from_numpy(mask3)[:, None])
        spatial = [region2.conv_map(x, layer).relu() for layer in self.spatial2]
        rows = torch.cat([*spatial, region2.gather(x)], 1)
        rows2 = region2.conv(rows, self.mix2).relu()
        logits2 = region2.conv(rows2, self.head2)
        merged = region2.scatter(logits2, -torch.ones(len(x), 5, *SIZE2, dtype=torch.float64))
        parts = [
            region3.conv_map(y, self.spatial3).relu(),
            region3.gather(y),
            region3.children(rows2, region2),
        ]
        rows3 = region3.conv(torch.cat(parts, 1), self.mix3).relu()
        logits3 = region3.conv(rows3, self.head3) + region3.children(logits2, region2)
        with torch.no_grad():
            return region3.scatter(logits3, repeat_children(merged, SIZE3)).detach().numpy()

    def program(
        self, library: NativeLibrary, layout: Layout, kind: ElementType, batch: int
    ) -> tuple[Program, int]:
        """The program, and the number of operators of stage 2."""
        p = ProgramBuilder(library, batch)
        x = p.map("context", SIZE2, C, layout=layout, element_type=kind)
        region2 = p.select("score", 0, SIZE2)
        spatial = [
            p.conv(region2, [x], **parameters(layer), dilation=layer.dilation, relu=True,
                   element_type=kind)
            for layer in self.spatial2
        ]  # fmt: skip
        rows2 = p.conv(
            region2, [*spatial, x], **parameters(self.mix2), relu=True, element_type=kind
        )
        logits2 = p.conv(region2, [rows2], **parameters(self.head2))
        p.scatter(logits2, "logits2", layout=layout)
        middle = p.position
        y = p.map("detail", SIZE3, DETAIL, layout=layout, element_type=kind)
        region3 = p.mask("uncertain", SIZE3, within=region2)
        spatial3 = p.conv(
            region3, [y], **parameters(self.spatial3), dilation=(2, 2), relu=True,
            element_type=kind,
        )  # fmt: skip
        rows3 = p.conv(
            region3, [spatial3, y, rows2], **parameters(self.mix3), relu=True, element_type=kind
        )
        logits3 = p.conv(region3, [rows3], **parameters(self.head3), residual=logits2)
        p.scatter(logits3, "logits3", layout=layout)
        return p.build(), middle


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize(
    ("kind", "tolerance"), [(ElementType.F32, 2e-5), (ElementType.BF16, 0.05)], ids=str
)
def test_exact_regions_equal_pytorch(
    library: NativeLibrary,
    pool: Pool,
    isa: str,
    kind: ElementType,
    tolerance: float,
    layout: Layout,
) -> None:
    stages, rng, batch = ExactStages(), np.random.default_rng(0), 2
    program, middle = stages.program(library, layout, kind, batch)
    order = (0, 2, 3, 1) if layout is Layout.NHWC else (0, 1, 2, 3)
    # From all pixels to none and back: temporaries of one frame must not show in the next.
    for rho in (9.0, 0.3, -9.0, -0.4, 0.3):
        context = rng.standard_normal((batch, C, *SIZE2)).astype(np.float32)
        detail = rng.standard_normal((batch, DETAIL, *SIZE3)).astype(np.float32)
        score = blob_scores(rng, (batch, *SIZE2))
        uncertain = rng.random((batch, *SIZE3)) < 0.5
        mask2 = ~(score > rho)
        parents = repeat_children(torch.from_numpy(mask2)[:, None], SIZE3)[:, 0].numpy()
        expected = stages.reference(CompactRegion, context, detail, mask2, parents & uncertain)
        masked = stages.reference(MaskedRegion, context, detail, mask2, parents & uncertain)
        np.testing.assert_allclose(masked, expected, atol=1e-9)
        logits2 = np.full((batch, 5, *SIZE2), -1, np.float32)
        arrays = {
            "context": context.transpose(order), "score": score,
            "logits2": logits2.transpose(order), "detail": detail.transpose(order),
            "uncertain": uncertain,
        }  # fmt: skip
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        program.run(pool, arrays, [rho], end=middle)
        back = tuple(np.argsort(order))
        coarse = torch.from_numpy(arrays["logits2"].transpose(back).copy())
        merged = repeat_children(coarse, SIZE3).numpy()
        arrays["logits3"] = np.ascontiguousarray(merged.transpose(order))
        program.run(pool, arrays, [rho], first=middle)
        got = arrays["logits3"].transpose(back)
        np.testing.assert_allclose(got, expected, atol=tolerance)


class PublishedStage:
    """Two stages as of irnet: neighbours outside the region read zeros."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.reduce = conv(C, MID)
        self.wide = conv(MID, MID, (1, 7))
        self.high = conv(MID, MID, (7, 1))
        self.up = conv(MID + MID, C)
        self.last = conv(C, 5, 3)

    def reference(self, region: type[Region], x: Array, mask2: Array, mask3: Array) -> Array:
        region2 = region(torch.from_numpy(mask2)[:, None])
        region3 = region(torch.from_numpy(mask3)[:, None])
        rows = region2.gather(torch.from_numpy(x).double())
        a = region2.conv(rows, self.reduce).relu()
        b = region2.conv(region2.conv(a, self.wide).relu(), self.high).relu()
        update = region2.conv(torch.cat([a, b], 1), self.up)
        rows = region2.zero_outside((rows + 0.17 * update).relu())
        rows = region3.max_pool(region3.restrict(rows, region2), 3, 2)
        logits = region3.conv(rows, self.last)
        with torch.no_grad():
            base = torch.zeros(len(x), 5, *SIZE2, dtype=torch.float64)
            return region3.scatter(logits, base).detach().numpy()

    def program(self, library: NativeLibrary, kind: ElementType) -> Program:
        p = ProgramBuilder(library)
        x = p.map("x", SIZE2, C, layout=Layout.NCHW, element_type=kind)
        region2 = p.select("score2", 0, SIZE2)
        region3 = p.select("score3", 1, SIZE2, within=region2)
        typed = {"element_type": kind, "relu": True}
        rows = p.restrict(region2, x)
        a = p.conv(region2, [rows], **parameters(self.reduce), **typed)
        b = p.conv(region2, [a], **parameters(self.wide), **typed)
        b = p.conv(region2, [b], **parameters(self.high), **typed)
        up = parameters(self.up)
        scale = np.full(C, 0.17, np.float32)
        rows = p.conv(
            region2, [a, b], up["weight"], up["bias"] * scale, scale=scale, residual=rows, **typed
        )
        rows = p.max_pool(region3, p.restrict(region3, rows), (3, 3), (2, 2))
        p.scatter(p.conv(region3, [rows], **parameters(self.last)), "logits", layout=Layout.NCHW)
        return p.build()


@pytest.mark.parametrize(
    ("kind", "tolerance"), [(ElementType.F32, 2e-5), (ElementType.BF16, 0.05)], ids=str
)
def test_published_regions_equal_pytorch(
    library: NativeLibrary, pool: Pool, isa: str, kind: ElementType, tolerance: float
) -> None:
    stage, rng = PublishedStage(), np.random.default_rng(1)
    program = stage.program(library, kind)
    for rho2, rho3 in ((9, 9), (0.5, 0.1), (-9, 9), (0.2, -9), (0.9, 0.3)):
        x = rng.standard_normal((1, C, *SIZE2)).astype(np.float32)
        score2, score3 = blob_scores(rng, (1, *SIZE2)), blob_scores(rng, (1, *SIZE2))
        mask2 = ~(score2 > rho2)
        mask3 = mask2 & ~(score3 > rho3)
        expected = stage.reference(MaskedRegion, x, mask2, mask3)
        logits = np.zeros((1, 5, *SIZE2), np.float32)
        arrays = {"x": x, "score2": score2, "score3": score3, "logits": logits}
        program.run(pool, arrays, [rho2, rho3])
        np.testing.assert_allclose(logits, expected, atol=tolerance)


def int8_program(library: NativeLibrary, layout: Layout) -> Program:
    """Quantised rows between two convolutions, with scales 1/32."""
    rng = np.random.default_rng(2)
    p = ProgramBuilder(library)
    x = p.map("x", SIZE2, C, layout=layout, element_type=ElementType.S8, factor=32)
    region = p.select("score", 0, SIZE2)
    weight = rng.integers(-127, 128, (MID, C, 3, 3)).astype(np.int8)
    weight1 = rng.integers(-127, 128, (OUT, MID, 1, 1)).astype(np.int8)
    scale = np.full(MID, 1 / 1500, np.float32)
    rows = p.conv(region, [x], weight, scale=scale, relu=True, element_type=ElementType.U8)
    out = p.conv(region, [rows], weight1, scale=np.full(OUT, 1 / 999, np.float32))
    p.export(out, "out", factor=0.5)
    return p.build()


def test_int8_rows_stay_int8(library: NativeLibrary, pool: Pool) -> None:
    rng = np.random.default_rng(3)
    nhwc = rng.standard_normal((1, *SIZE2, C)).astype(np.float32)
    score = blob_scores(rng, (1, *SIZE2))
    results = {}
    for name in ("portable", "avx2", "avx512_vnni", "amx"):
        library.limit_isa(name)
        for layout in Layout:
            program = int8_program(library, layout)
            x = nhwc if layout is Layout.NHWC else np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))
            out = np.full((SIZE2[0] * SIZE2[1], OUT), np.nan, np.float32)
            program.run(pool, {"x": x, "score": score, "out": out}, [0.3])
            results[name, layout] = out
    rows = int((score <= 0.3).sum())
    first = next(iter(results.values()))
    assert np.isfinite(first[:rows]).all() and np.isnan(first[rows:]).all()
    assert first[:rows].std() > 0.01
    assert len({out.tobytes() for out in results.values()}) == 1


@pytest.fixture
def allocated() -> Callable[[], int]:
    """Bytes that malloc has given out to this process."""

    class Information(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_size_t) for name in "abcdefghij")

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("needs glibc 2.33, which counts allocated bytes")
    libc.mallinfo2.restype = Information
    return lambda: int(libc.mallinfo2().h) + int(libc.mallinfo2().d)  # uordblks, hblkhd


def test_nothing_is_allocated_after_the_first_frame(
    library: NativeLibrary, allocated: Callable[[], int]
) -> None:
    rng = np.random.default_rng(4)
    program = PublishedStage().program(library, ElementType.BF16)
    arrays = {
        "x": rng.standard_normal((1, C, *SIZE2)).astype(np.float32),
        "score2": blob_scores(rng, (1, *SIZE2)),
        "score3": blob_scores(rng, (1, *SIZE2)),
        "logits": np.zeros((1, 5, *SIZE2), np.float32),
    }
    with Pool(library, 1) as pool:
        program.run(pool, arrays, [9, 9])
        before = allocated()
        for i in range(300):
            program.run(pool, arrays, [i / 150 - 1, 1])
        # A frame has about 100 kB of temporaries; Python's own objects come and go.
        assert allocated() - before < 50_000


def test_temporaries_share_memory(library: NativeLibrary) -> None:
    def chain(length: int) -> int:
        p = ProgramBuilder(library)
        region = p.mask("mask", (64, 64))
        x = p.map("x", (64, 64), 32)
        rows = p.restrict(region, x)
        weight = np.zeros((32, 32, 1, 1), np.float32)
        for _ in range(length):
            rows = p.conv(region, [rows], weight)
        p.export(rows, "out")
        return p.build().arena_bytes

    assert chain(20) == chain(2)
    assert chain(2) < 4 * 64 * 64 * 32 * 4
