# One image for the three processes: what runs is chosen by its command, `configmapsync-reconciler`, `-webhook` or `-certs`.
#
# Built by `make docker-build`. Behind a package index of your own, give pip its settings as a secret, which leaves no trace in the image:
#   make docker-build BUILD_FLAGS="--secret id=pip.conf,src=$HOME/.config/pip/pip.conf"

# What builds, and what the image stands on. Pin it by digest where builds must repeat: --build-arg PYTHON=.../python@sha256:...
ARG PYTHON=docker.io/library/python:3.13-slim
# May be smaller than what builds: nothing is run in it here, so it needs neither a shell nor pip, only the same Python in the same place.
ARG BASE=${PYTHON}

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock requirements-pip.lock ./
# The pinned pip comes first, and with --no-deps it resolves nothing: what the index offers on the day of the build does not matter.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --quiet --no-deps --require-hashes -r requirements-pip.lock \
    && python -m venv --without-pip /opt/configmapsync \
    && pip --python /opt/configmapsync install --quiet --no-deps --require-hashes -r requirements.lock \
    && pip --python /opt/configmapsync check \
    && pip install --quiet --no-deps --require-hashes -r requirements-build.lock
COPY . .
# Bytecode is written now, because nothing can be written later; it is not checked against its source at each start.
# The APIs and models of kubernetes-asyncio have none: they are imported only if its layout is unknown (kube/lean.py).
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && pip --python /opt/configmapsync install --quiet --no-deps --no-index /wheel/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
       -x 'kubernetes_asyncio/client/(api|models)/' /opt/configmapsync/lib

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ConfigMapSync" \
      org.opencontainers.image.description="A Kubernetes operator that keeps ConfigMaps in step across namespaces" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/configmapsync /opt/configmapsync
# Nothing is written, not even to /tmp; only what is installed can be imported, not what lies in the current folder.
ENV PATH=/opt/configmapsync/bin:${PATH} HOME=/ \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1
# Numeric, so that `runAsNonRoot` can be verified without a user database.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m"]
CMD ["reconciler"]
