"""The shape of the code base, checked from its syntax trees: layers, imports, sizes."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "synthdiff").rglob("*.py"))
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))

# What each layer may import of synthdiff, beside itself. The package's own __init__ is the door.
BASE = {"_validate", "_files", "_progress", "layout"}
ALLOWED = {
    "_validate": set(),
    "_files": {"_validate"},
    "_progress": set(),
    "layout": set(),
    "data": BASE,
    "diffusion": BASE,
    "models": BASE | {"diffusion"},
    "train": BASE | {"diffusion"},
    "exposure": BASE | {"diffusion", "train"},
    "eval": BASE | {"data"},
    "private_run": BASE | {"data", "train"},
    "config": BASE | {"diffusion", "models", "train"},
    "sampling": BASE | {"data", "diffusion", "models", "train", "config"},
    "embedding": BASE | {"diffusion", "models", "train", "config", "sampling"},
    "run_folder": BASE | {"data", "train", "config"},
    "synthesizer": BASE
    | {"data", "diffusion", "models", "train", "private_run", "config", "sampling", "embedding"}
    | {"run_folder"},
    "distill": BASE | {"train", "config", "sampling", "run_folder", "synthesizer"},
    "scoring": BASE | {"diffusion", "models", "train", "config", "sampling", "synthesizer"},
    "estimator": BASE | {"data", "config", "synthesizer", "scoring"},
    "__init__": {"synthesizer"},
    "__main__": set(),
}
HEAVY = {"jax", "jaxlib", "flax", "optax", "orbax"}
MAX_FILE, MAX_FUNCTION, MAX_DRIVER = 500, 60, 99

DRIVERS = {path.stem for path in SCRIPTS if "__main__" in path.read_text()}
STAGES = {  # scripts that a script runs; whatever else two of them share is in a helper
    "pipeline": {"train", "sample", "evaluate", "audit"},
    "repeat": {"pipeline"},
    "judge": {"evaluate", "audit"},
    "fairness": {"train"},
}


def imported(source):
    """Dotted names of all modules that a source imports, nested imports included."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def layer_of(path):
    part = path.relative_to(ROOT / "synthdiff").parts[0]
    return part.removesuffix(".py")


def upward(layer, source):
    """Imports of synthdiff that the layer may not have."""
    found = [name.split(".")[1] for name in imported(source) if name.startswith("synthdiff.")]
    return [name for name in found if name != layer and name not in ALLOWED[layer]]


def name_modules(paths, root):
    """The file of each module, by the dotted name under which others import it."""
    parts = {path: path.relative_to(root).with_suffix("").parts for path in paths}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): path for path, p in parts.items()}


def list_imports(modules):
    """Which of the modules each of them imports; modules: source by name."""
    found = {}
    for name, source in modules.items():
        used = {n if n in modules else n.rpartition(".")[0] for n in imported(source)}
        found[name] = sorted((used & set(modules)) - {name})
    return found


def find_circle(modules):
    """Modules that import each other in a circle, the first again at the end; [] if none do."""
    graph, order = list_imports(modules), TopologicalSorter(list_imports(modules))
    try:
        order.prepare()
    except CycleError as error:
        assert all(a in graph[b] for a, b in pairwise(error.args[1]))
        return error.args[1]
    return []


@pytest.mark.parametrize(
    "paths, root", [(PACKAGE, ROOT), (SCRIPTS, ROOT / "experiments")], ids=["package", "scripts"]
)
def test_no_modules_import_each_other_in_a_circle(paths, root):
    modules = {name: path.read_text() for name, path in name_modules(paths, root).items()}
    assert len(modules) == len(paths) > 50
    assert sum(map(len, list_imports(modules).values())) > len(paths)
    assert find_circle(modules) == []


def test_circles_are_seen():
    for source in ("import _a", "from _a import f", "def f():\n    from _a import g"):
        found = find_circle({"_a": "from _b import f", "_b": "from _c import g", "_c": source})
        assert set(found) == {"_a", "_b", "_c"} and found[0] == found[-1]
    both = {"p.a": "from p.b import f", "p.b": "from p import a"}
    assert set(find_circle(both)) == {"p.a", "p.b"}
    assert find_circle(both | {"p.b": "import os"}) == []


def imports_any(source, packages):
    return sorted({name for name in imported(source) if name.split(".")[0] in packages})


def names_in_code(source):
    """Every identifier that is code: no comments, no strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]


def long_functions(source, most=MAX_FUNCTION):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return [node.name for node in nodes if node.end_lineno - node.lineno + 1 > most]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    assert upward(layer_of(path), path.read_text()) == []


def test_upward_imports_are_seen():
    assert upward("diffusion", "from synthdiff.models.unet import UNet") == ["models"]
    assert upward("eval", "def f():\n    import synthdiff.train.step") == ["train"]
    assert upward("data", "from synthdiff import eval") == ["eval"]
    assert upward("models", "from synthdiff.layout import Layout\nimport jax") == []


def test_no_package_is_without_a_layer():
    assert {layer_of(path) for path in PACKAGE} == set(ALLOWED)


FORBIDDEN = [
    (("data", "eval"), HEAVY),
    (("diffusion",), {"flax", "optax", "orbax"}),
    (tuple(ALLOWED), {"absl", "pickle", "cloudpickle", "dill", "joblib", "shelve"}),
]


@pytest.mark.parametrize("layers, packages", FORBIDDEN, ids=lambda value: ",".join(sorted(value)))
def test_forbidden_packages(layers, packages):
    found = {
        str(path): names
        for path in PACKAGE
        if layer_of(path) in layers and (names := imports_any(path.read_text(), packages))
    }
    assert not found


def test_no_script_unpickles():
    assert SCRIPTS
    for path in SCRIPTS:
        assert not imports_any(path.read_text(), FORBIDDEN[2][1] - {"absl"}), path


def test_forbidden_packages_are_seen():
    assert imports_any("import numpy, jax.numpy as jnp", HEAVY) == ["jax.numpy"]
    assert imports_any("from absl import flags", {"absl"}) == ["absl.flags"]
    assert imports_any("def f():\n    from pickle import loads", {"pickle"}) == ["pickle.loads"]
    assert imports_any("text = 'import jax'", HEAVY) == []


def test_data_and_evaluation_run_without_jax():
    modules = ("eval.evaluate", "eval.audit", "eval.report", "data.codec", "data.batches")
    lines = ["import sys", *(f"import synthdiff.{module}" for module in modules)]
    check = f"print(sorted({HEAVY!r} & set(sys.modules)))"
    for more, expected in (("", "[]"), ("import jax", "['jax', 'jaxlib']")):
        code = "\n".join([*lines, more, check])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


def drivers_in(name, source):
    """The scripts that a file of experiments/ imports and may not; importlib hides which."""
    found = {module.split(".")[0] for module in imported(source)}
    return sorted(found & (DRIVERS | {"importlib"}) - STAGES.get(name, set()))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_import_scripts_only_to_run_them(path):
    assert drivers_in(path.stem, path.read_text()) == []


def test_imports_of_scripts_are_seen():
    assert drivers_in("_sweep", "import train") == ["train"]
    assert drivers_in("_paper_plots", "def f():\n    from ablate import plot_arms") == ["ablate"]
    assert drivers_in("benchmark_peers", "from benchmark_torch import x") == ["benchmark_torch"]
    assert drivers_in("repeat", "import pipeline, train") == ["train"]
    assert drivers_in("_tables", "from importlib import import_module") == ["importlib"]
    assert drivers_in("audit", "from synthdiff.eval.audit import audit\nimport _sweep") == []


def test_helpers_are_no_scripts_and_scripts_are_short():
    assert len(DRIVERS) > 25 and not [name for name in DRIVERS if name.startswith("_")]
    sizes = {path.stem: len(path.read_text().splitlines()) for path in SCRIPTS}
    assert not {name for name in DRIVERS if sizes[name] > MAX_DRIVER}


def test_only_one_file_names_pmap():
    users = [path for path in PACKAGE + SCRIPTS if "pmap" in names_in_code(path.read_text())]
    assert users == [ROOT / "synthdiff" / "train" / "parallel.py"]


def test_pmap_is_seen_in_code_only():
    for source in ("jax.pmap(f)", "from jax import pmap", "pmap(f)"):
        assert "pmap" in names_in_code(source)
    assert "pmap" not in names_in_code('"""pmap"""  # pmap')


def test_files_and_functions_are_short():
    texts = {str(path): path.read_text() for path in PACKAGE + SCRIPTS}
    assert not {path for path, text in texts.items() if len(text.splitlines()) > MAX_FILE}
    assert not {path: found for path, text in texts.items() if (found := long_functions(text))}


def test_long_functions_are_seen():
    body = "\n".join(["    pass"] * MAX_FUNCTION)
    assert long_functions(f"def f():\n{body}") == ["f"]
    assert long_functions(f"class C:\n    def f(self):\n        pass\n{body}") == []
