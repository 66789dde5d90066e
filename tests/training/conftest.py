import pytest
import torch
from tiny_training import TINY, make_tree

from lc_trt.model import presets


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread, so that sums do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def tiny_preset():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", TINY)
        yield


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Six labelled images to train on, two to validate on, three classes."""
    return make_tree(tmp_path_factory.mktemp("street") / "data")
