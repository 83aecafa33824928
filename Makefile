# Everything goes through the scripts in pgrx-config/ and tests/run; this file gives it the usual names.
# PG_CONFIG chooses the PostgreSQL, otherwise Debian's PostgreSQL 15.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
ENVIRONMENT := source pgrx-config/environment && use_postgresql

.PHONY: help demo test test-sql test-isolation test-rust test-archive test-postgres test-16 test-18 check-17 install installcheck package bench clean setup setup-tests

help:
	@echo 'make demo          build, start a private server, run the demonstration on it'
	@echo 'make test          every test; one stage: test-sql, test-isolation, test-rust, test-archive, test-postgres, test-16, test-18, check-17'
	@echo 'make install       build for PG_CONFIG and install there'
	@echo 'make installcheck  run the regression files on the server of PGHOST and PGPORT'
	@echo 'make package       the files to install, below target/release'
	@echo 'make bench         measure on a private server (BENCH=--quick only shows that it works)'
	@echo 'make setup         what building needs, setup-tests also what tests need; done by all that need it but install'
	@echo 'make clean         stop the private servers and remove what was built'

# Prepares the machine: PostgreSQL and compilers (root or sudo needed), cargo-pgrx.
setup:
	@pgrx-config/setup

# And what only tests use: a connection pool, a browser, other PostgreSQL releases, engines that read archives.
setup-tests:
	@pgrx-config/setup --tests

# A release build, because the demonstration shows rates.
demo: setup
	@pgrx-config/tree --release
	@pgrx-config/server start demo --conf pgrx-config/demo.conf
	@settings=$$(pgrx-config/server env demo) && eval "$$settings" && demo/run
	@echo 'Stop the server:  pgrx-config/server stop demo'

test: setup-tests
	@tests/run

test-sql test-isolation test-postgres: test-%: setup
	@tests/run $*

test-rust test-archive test-16 test-18: test-%: setup-tests
	@tests/run $*

check-17: setup
	@tests/run $@

# Says which packages are missing and installs none. An ordinary user builds as himself, and sudo copies.
install:
	@pgrx-config/setup --report
	@$(ENVIRONMENT) && sudo=; [[ -w $$("$$PG_CONFIG" --pkglibdir) ]] || sudo=sudo; \
	cargo pgrx install --release $${sudo:+--sudo} --pg-config "$$PG_CONFIG" && \
	install_archiver "$$("$$PG_CONFIG" --bindir)" $$sudo

installcheck: setup
	@tests/run $@

package: setup
	@$(ENVIRONMENT) && cargo pgrx package --pg-config "$$PG_CONFIG" && \
	install_archiver "$$target/release/audit-pg$$major$$("$$PG_CONFIG" --bindir)"

bench: setup
	@pgrx-config/tree --release
	@pgrx-config/server start bench --fresh --conf pgrx-config/bench.conf
	@trap 'pgrx-config/server stop bench' EXIT; \
	settings=$$(pgrx-config/server env bench) && eval "$$settings" && tests/bench/run $(BENCH)

clean:
	@pgrx-config/server stop --all
	@source pgrx-config/environment && rm -rf "$$pg"
	@cargo clean
