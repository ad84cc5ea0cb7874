"""The rules of the house that a reader relies on, held by reading the source."""

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import PACKAGE, Module, imports, modules

LEVELS = {
    "planning": 1,
    "data": 1,
    "scoring": 1,
    "engines": 2,
    "tasks": 2,
    "model": 2,
    "record": 2,
    "report": 2,
    "epoch_log": 3,
    "stage_inputs": 3,
    "training_provenance": 3,
    "reproduce": 3,
    "reproduce_inputs": 3,
    "pipeline": 3,
    "training": 3,
    "other_data": 3,
    "commands": 4,
    "cli": 5,
    "__main__": 6,
}
"""Arrows point down or stay on a level; a module that is not here is the base, level 0."""

HEAVY = {
    "albumentations",
    "cv2",
    "dvc",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxruntime",
    "pandas",
    "segmentation_models_pytorch",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "ultralytics",
}
ALLOWED_AT_IMPORT = {
    "automl.data": {"cv2"},
    "automl.engines": {"cv2", "torch"},
    "automl.model": {"cv2", "torch"},
    "automl.report": {"cv2"},
    "automl.tasks": {"cv2", "torch"},
    "automl.engines.yolo_trainer": {"cv2", "torch", "ultralytics"},
    "automl.record.mlflow_model": {"mlflow", "pandas"},
}
"""By package, or by a module that only its user imports; else inside the functions that need it."""

TORCH_FREE = ("automl.data", "automl.scoring", "automl.record")
RUN_BY_MLFLOW = "automl.record.mlflow_model"
LONGEST_FUNCTION, LONGEST_MODULE = 55, 320
PRINTS = "automl.commands.terminal"


def level(name: str) -> int:
    parts = name.split(".")
    return LEVELS.get(parts[1], 0) if len(parts) > 1 else 0


def allowed(name: str) -> set[str]:
    package = ".".join(name.split(".")[:2])
    return ALLOWED_AT_IMPORT.get(name, ALLOWED_AT_IMPORT.get(package, set()))


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_layers__there_are_modules_on_every_level():
    assert {level(name) for name in modules()} == set(range(7))
    unknown = set(LEVELS) - {path.stem for path in PACKAGE.iterdir()}
    assert not unknown, f"levels of what does not exist: {unknown}"


def test_layers__imports_point_down():
    upward = [
        f"{module.where}:{line} imports {target}"
        for module in modules().values()
        for target, line in imports(module)
        if target.startswith("automl") and level(target) > level(module.name)
    ]
    assert not upward, "\n".join(upward)


def test_layers__no_cycles():
    arrows = {
        module.name: {t for t, _ in imports(module, at_import=True) if t in modules()}
        for module in modules().values()
    }
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for target in arrows[name] - {name}:
                walk(target, (*way, name))
            done.add(name)

    for name in arrows:
        walk(name, ())


def test_imports__heavy_libraries_only_where_they_are_the_matter():
    found = [
        f"{module.where}:{line} imports {target}"
        for module in modules().values()
        for target, line in imports(module, at_import=True)
        if (root := target.split(".")[0]) in HEAVY and root not in allowed(module.name)
    ]
    assert not found, "\n".join(found)


def test_imports__data_scoring_and_record_know_no_torch():
    found = [
        f"{module.where}:{line}"
        for module in modules().values()
        if module.name.startswith(TORCH_FREE) and module.name != RUN_BY_MLFLOW
        for target, line in imports(module)
        if target.split(".")[0] in ("torch", "torchvision", "timm")
    ]
    assert not found, "\n".join(found)


def test_imports__one_module_knows_ultralytics():
    found = {m.where for m in modules().values() for t, _ in imports(m) if t.startswith("ultraly")}
    assert found, "nothing imports it: this rule looks at the wrong name"
    assert all(where.startswith("automl/engines/yolo") for where in found), found


def test_sizes__functions_fit_a_page_and_modules_a_room():
    large = [
        f"{module.where}: {module.lines()} lines"
        for module in modules().values()
        if module.lines() > LONGEST_MODULE
    ]
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    large.append(f"{module.where}:{node.lineno} {node.name}: {length} lines")
    assert not large, "\n".join(large)


def test_messages__nothing_but_the_terminal_prints_and_nothing_asserts():
    found = [
        f"{module.where}:{call.lineno} prints"
        for module in modules().values()
        if module.name != PRINTS
        for name, call in calls(module)
        if name in ("print", "pprint", "typer.echo") and module.name != "automl.cli"
    ]
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assert):
                found.append(f"{module.where}:{node.lineno} asserts")
    assert not found, "\n".join(found)


def test_safety__nothing_runs_or_unpickles_what_it_reads():
    found = []
    for module in modules().values():
        found += [
            f"{module.where}:{line} imports {target}"
            for target, line in imports(module)
            if target.split(".")[0] in ("pickle", "marshal", "shelve", "dill", "joblib")
        ]
        for name, call in calls(module):
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            unsafe = (
                name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen")
                or name.endswith(("yaml.load", ".extractall", ".unsafe_load"))
                or words.get("shell") == "True"
                or (name == "torch.load" and words.get("weights_only") != "True")
                or words.get("allow_pickle") == "True"
            )
            if unsafe:
                found.append(f"{module.where}:{call.lineno} calls {name}")
    assert not found, "\n".join(found)


def test_packages__an_init_holds_words_only():
    for module in modules().values():
        if module.path.name == "__init__.py" and module.name != "automl":
            rest = [n for n in module.tree.body if not isinstance(n, ast.Expr)]
            assert not rest, f"{module.where}:{rest[0].lineno} does something"


def test_classes__inherit_from_libraries_only():
    ours = {
        node.name
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    heirs = [
        f"{module.where}:{node.lineno} {node.name}({ast.unparse(base)})"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if ast.unparse(base) in ours - {"AutomlError", "Strict"}
    ]
    assert not heirs, "\n".join(heirs)


@pytest.mark.parametrize(
    ("source", "rule"),
    [("import torch\n", True), ("def f():\n import torch\n", False)],
)
def test_imports__what_runs_at_import_is_told_apart(tmp_path, source, rule):
    module = Module("automl.x", tmp_path, ast.parse(source))
    assert bool(list(imports(module, at_import=True))) is rule
    assert list(imports(module))
