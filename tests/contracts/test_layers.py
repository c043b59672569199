"""Who may import torch: `tuning`, and modules named `*_torch`; and what works without it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from functools import cache

import grimp

import headrace

HEAVY = ("torch", "transformers")
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("headrace", include_external_packages=True, exclude_type_checking_imports=True)


def may_be_heavy(module: str) -> bool:
    return module.startswith("headrace.tuning") or module.endswith("_torch")


def test_only_tuning_and_torch_modules_reach_torch_directly_or_through_others() -> None:
    reached: dict[str, str] = {}
    for heavy in HEAVY:
        for module in graph().modules & _our_modules():
            if not may_be_heavy(module):
                chain = graph().find_shortest_chain(module, heavy) if heavy in graph().modules else None
                if chain:
                    reached[module] = " -> ".join(chain)
    assert reached == {}


def test_the_rule_would_notice_a_module_that_breaks_it() -> None:
    assert graph().find_shortest_chain("headrace.tuning.train", "torch"), "tuning does import torch"
    assert not may_be_heavy("headrace.serving.engine")


def test_everything_else_imports_with_torch_and_transformers_blocked() -> None:
    light = sorted(
        module for module in _our_modules() if not may_be_heavy(module) and module != "headrace.__main__"
    )
    assert len(light) > 50
    code = (
        f"{BLOCK}\nimport importlib\nfor name in {light!r}: importlib.import_module(name)\nprint('imported')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "imported", done.stderr[-2000:]


def _our_modules() -> set[str]:
    found = pkgutil.walk_packages(headrace.__path__, "headrace.")
    return {module.name for module in found if ".migrations" not in module.name}
