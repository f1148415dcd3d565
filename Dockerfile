# One image for the three processes. The command selects one: `configmapsync-reconciler`, `-webhook`
# or `-certs`.
#
# `make docker-build` builds it. Pass the settings of a private package index as a secret, which the
# image does not contain:
#   make docker-build BUILD_FLAGS="--secret id=pip.conf,src=$HOME/.config/pip/pip.conf"

# The build image, and the default base. For repeatable builds pin it by digest:
# --build-arg PYTHON=.../python@sha256:...
ARG PYTHON=docker.io/library/python:3.13-slim
# The base may be smaller: it needs the same Python at the same path, but neither a shell nor pip.
ARG BASE=${PYTHON}

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock requirements-pip.lock ./
# With the pinned pip and --no-deps nothing is resolved, so newer releases do not matter.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --quiet --no-deps --require-hashes -r requirements-pip.lock \
    && python -m venv --without-pip /opt/configmapsync \
    && pip --python /opt/configmapsync install --quiet --no-deps --require-hashes -r requirements.lock \
    && pip --python /opt/configmapsync check \
    && pip install --quiet --no-deps --require-hashes -r requirements-build.lock
COPY . .
# The container cannot write bytecode, so the build does. No start checks it against the sources.
# The APIs and models of kubernetes-asyncio have no bytecode: they are imported only if its layout is
# unknown (kube/lean.py).
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && pip --python /opt/configmapsync install --quiet --no-deps --no-index /wheel/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
       -x 'kubernetes_asyncio/client/(api|models)/' /opt/configmapsync/lib

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
# The repository, such as https://git.example.com/platform/configmapsync
ARG SOURCE=
LABEL org.opencontainers.image.title="ConfigMapSync" \
      org.opencontainers.image.description="A Kubernetes operator that copies ConfigMaps to other namespaces" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/tree/${REVISION}/docs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/configmapsync /opt/configmapsync
# The processes write no file, not even in /tmp, and import installed packages only.
# aiohttp loads the CA file of the system at import: two mebibytes of certificates that no connection
# uses. Without the file, OpenSSL finds a certificate in the CA directory when one is needed.
ENV PATH=/opt/configmapsync/bin:${PATH} HOME=/ SSL_CERT_FILE= \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1
# `runAsNonRoot` needs a numeric user.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m"]
CMD ["reconciler"]
