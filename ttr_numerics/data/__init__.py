"""Captured arrays; read through `ttr_numerics.tasks`."""
