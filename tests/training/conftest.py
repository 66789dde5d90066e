from training_fixtures import one_thread, tiny_preset, tree

__all__ = ["one_thread", "tiny_preset", "tree"]
