"""Files that are whole or not there."""

import pytest
import torch

from torchmdnet.training.checkpoint_io import AtomicTorchCheckpointIO, copy_atomically


def test_reads_back_what_it_wrote(tmp_path):
    path = tmp_path / "new" / "a.ckpt"
    AtomicTorchCheckpointIO().save_checkpoint({"x": torch.arange(3)}, path)
    assert torch.equal(torch.load(path, weights_only=True)["x"], torch.arange(3))


def test_a_failed_write_leaves_the_former_file_and_no_other(tmp_path):
    path = tmp_path / "a.ckpt"
    AtomicTorchCheckpointIO().save_checkpoint({"x": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        AtomicTorchCheckpointIO().save_checkpoint({"x": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_storage_options(tmp_path):
    with pytest.raises(TypeError, match="storage_options"):
        AtomicTorchCheckpointIO().save_checkpoint({}, tmp_path / "a", storage_options={"x": 1})


def test_a_copy_outlives_a_new_original(tmp_path):
    source, copy = tmp_path / "a", tmp_path / "b"
    AtomicTorchCheckpointIO().save_checkpoint({"x": 1}, source)
    copy_atomically(source, copy)
    AtomicTorchCheckpointIO().save_checkpoint({"x": 2}, source)
    assert torch.load(copy, weights_only=True) == {"x": 1}


def test_copying_twice_leaves_no_other_file(tmp_path):
    source, copy = tmp_path / "a", tmp_path / "b"
    AtomicTorchCheckpointIO().save_checkpoint({"x": 1}, source)
    copy_atomically(source, copy)
    copy_atomically(source, copy)
    assert sorted(tmp_path.iterdir()) == [source, copy]
