"""`python -m spmcli` is `spm`."""

from __future__ import annotations

from spmcli import main

main()
