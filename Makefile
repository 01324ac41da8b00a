# The two commands of the README. Everything else is `cargo xtask …`.
SHELL := /bin/bash
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)

.PHONY: demo test setup
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo 'make demo   build Polder and watch real packets meet a VPC'
	@echo 'make test   run every test'

# Debian packages: a linker; python3 for clients and web servers; for the tests iproute2, procps, iputils-ping, udhcpc
# and curl; nftables for --internet.
setup:
	@./tools/setup

demo: setup
	cargo build --release --package polder
	$(ROOT) target/release/polder demo $(ARGS)

# Built first, because `cargo xtask` shows no progress of its own building.
test:
	@./tools/setup test
	cargo build --package xtask
	cargo xtask test
