# pgweir as an image: docker build -t pgweir . && docker run -p 6432:6432 -p 127.0.0.1:6433:6433 pgweir run --listen 0.0.0.0:6432 --http 0.0.0.0:6433 postgres://...
# The one of benches/profile.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN scripts/with-profile.sh cargo build --release --locked --bin pgweir

FROM debian:bookworm-slim
# The authorities are for sslmode=verify-full towards servers.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home pgweir
COPY --from=build /src/target/release/pgweir /usr/local/bin/pgweir
USER pgweir
# Clients, and HTTP: /metrics, /health, /ready.
EXPOSE 6432 6433
# SIGTERM lets transactions end first.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pgweir"]
CMD ["run", "--config", "/etc/pgweir/pgweir.toml"]
