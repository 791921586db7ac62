# The service and the command line, with what PostgreSQL needs; see compose.yaml.
FROM python:3.13-slim

COPY pyproject.toml README.md LICENSE CHANGELOG.md /build/
COPY src /build/src
RUN pip install --no-cache-dir "/build[postgres,migrations]" && rm -r /build \
    && useradd --create-home embedwell && install --directory --owner=embedwell /cache

USER embedwell
WORKDIR /documents
EXPOSE 8437
ENTRYPOINT ["embedwell"]
CMD ["serve"]
