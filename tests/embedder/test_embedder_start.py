"""What loading a model costs: torch's compiler, which takes longer to import than a search, stays out."""

import subprocess
import sys

import pytest

LOADS = {
    "encoder": "from embedder import Encoder; Encoder.load()",
    "language model": "from embedder import Continuer; Continuer.load()",
    "melody": "from embedder.melody import melody_model; melody_model()",
}


@pytest.mark.parametrize("code", LOADS.values(), ids=LOADS)
def test_the_compiler_is_not_imported(code: str) -> None:
    code += "; import sys; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
