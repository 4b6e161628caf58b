"""The notebook of the documentation, run by a real kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from asset_pipeline import Project

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def test_the_notebook_runs_from_top_to_bottom(project: Project) -> None:
    """Every cell works on a project of one's own, and shows its table, picture or sound."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = str(project.settings.prompts_dir.parent)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [{kind for out in cell.outputs for kind in out.get("data", ())} for cell in cells]
    assert all("text/html" in shown[at] for at in (0, 1, 2, 4, 5))
    assert "image/png" in shown[3]
    assert "image/png" in shown[4]
    assert "0 clips are missing" in str(cells[5].outputs)
