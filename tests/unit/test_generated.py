"""What is generated and checked in is what its source generates."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_messages_are_those_of_the_proto_file(tmp_path: Path) -> None:
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/protos"]
    out = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*protoc, *out, f"{ROOT}/protos/external_auth.proto"], check=True, timeout=60)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(made) == 2
    for name, text in made.items():
        assert (ROOT / "extauthz/_pb" / name).read_text() == text, "run `make protos`"
