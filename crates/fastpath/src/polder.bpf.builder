rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)
bpf-linker 0.13.0
