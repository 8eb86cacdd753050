# The images: `edge`, `mlflow`, and what a build without --target makes, `all-in-one`.
#
#   docker build . -t extauthz --build-arg VERSION=$(git rev-parse --short HEAD)
#
# A package index of your own is a build secret: --secret id=pip,src=$HOME/.config/pip/pip.conf

# With a digest behind it, exactly one image: python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm


FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /tools \
    && /tools/bin/python -m pip install --no-deps --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/extauthz


# extauthz alone. What others have written comes from stages of its own, so that in each image a new
# version of extauthz is one small layer.
FROM tools AS extauthz
COPY LICENSE NOTICE README.md pyproject.toml ./
COPY extauthz extauthz
RUN /tools/bin/python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
    && /tools/bin/python -m pip --python /opt/extauthz/bin/python install \
        --no-deps --no-index dist/*.whl


FROM tools AS edge-packages
COPY requirements/server.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /tools/bin/python -m pip --python /opt/extauthz/bin/python install \
        --no-deps --require-hashes -r requirements/server.txt


FROM tools AS mlflow-packages
COPY requirements/mlflow.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /tools/bin/python -m pip --python /opt/extauthz/bin/python install \
        --no-deps --require-hashes -r requirements/mlflow.txt


FROM mlflow-packages AS all-packages
COPY requirements/demo.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /tools/bin/python -m pip --python /opt/extauthz/bin/python install \
        --no-deps --require-hashes -r requirements/demo.txt


FROM ${PYTHON_IMAGE} AS runtime
# Any other user may run it too; only the data has to be his.
RUN groupadd --gid 1000 mlflow \
    && useradd --uid 1000 --gid mlflow --no-create-home --home-dir /home/mlflow mlflow \
    && install --directory --mode 0755 /home/mlflow \
    && install --directory --owner mlflow --group mlflow --mode 0700 /home/mlflow/data
ENV HOME=/home/mlflow \
    PATH=/opt/extauthz/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /home/mlflow
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="extauthz"


FROM runtime AS edge
COPY --from=edge-packages /opt/extauthz /opt/extauthz
COPY --from=extauthz /opt/extauthz /opt/extauthz
USER 1000:1000
# Check, the pages, and health with metrics.
EXPOSE 9000 9001 9002
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-Ic", "\
from http.client import HTTPConnection as C; c = C('127.0.0.1', 9002, timeout=4); \
c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["extauthz", "serve", "--listen", "0.0.0.0:9000", \
     "--pages-listen", "0.0.0.0:9001", "--admin-listen", "0.0.0.0:9002"]
ARG VERSION=unknown
LABEL org.opencontainers.image.title="extauthz edge" \
      org.opencontainers.image.version="${VERSION}"


FROM runtime AS mlflow
COPY --from=mlflow-packages /opt/extauthz /opt/extauthz
COPY --from=extauthz /opt/extauthz /opt/extauthz
# extauthz/plugin/command.py says why.
ENV DO_NOT_TRACK=true \
    METRICS_LISTEN=0.0.0.0:5002 \
    MLFLOW_ARTIFACTS_DESTINATION=/home/mlflow/data/mlartifacts \
    MLFLOW_BACKEND_STORE_URI=sqlite:////home/mlflow/data/mlflow.db \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ENABLE_AI_GATEWAY=false \
    MLFLOW_ENABLE_REMOTE_ASSISTANT=false \
    MLFLOW_SERVER_ALLOWED_HOSTS=mlflow:5001,localhost:5001,127.0.0.1:5001 \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_SQL_TRACE_ROLLUPS_ENABLED=false \
    MLFLOW_WORKERS=1
USER 1000:1000
# MLflow, and the plugin's metrics.
EXPOSE 5001 5002
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s CMD ["python", "-Ic", "\
from http.client import HTTPConnection as C; c = C('127.0.0.1', 5001, timeout=4); \
c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["mlflow", "server", "--app-name", "extauthz", "--enable-workspaces", \
     "--workspace-store-uri", "extauthz://", \
     "--uvicorn-opts", "--http httptools --no-access-log", \
     "--host", "0.0.0.0", "--port", "5001", "--serve-artifacts"]
ARG VERSION=unknown
LABEL org.opencontainers.image.title="extauthz MLflow" \
      org.opencontainers.image.version="${VERSION}"


FROM runtime AS all-in-one
COPY --from=all-packages /opt/extauthz /opt/extauthz
COPY --from=extauthz /opt/extauthz /opt/extauthz
USER 1000:1000
EXPOSE 5000
# Below a path in PUBLIC_URL this is another site's page, which the edge answers with 404.
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s CMD ["python", "-Ic", "\
from http.client import HTTPConnection as C; c = C('127.0.0.1', 5000, timeout=4); \
c.request('GET', '/health'); raise SystemExit(c.getresponse().status not in (200, 404))"]
CMD ["extauthz", "up", "--host", "0.0.0.0"]
ARG VERSION=unknown
LABEL org.opencontainers.image.title="extauthz, all in one" \
      org.opencontainers.image.version="${VERSION}"
