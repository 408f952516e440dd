"""Experiments: the recipes behind the shipped models and the figures of the README."""
