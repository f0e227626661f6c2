"""Figures: one function a chart, from a table to one Vega-Lite specification."""
