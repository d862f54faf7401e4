# Plimsoll in a small image: `docker build -t plimsoll .`, by the classic builder as well as by BuildKit.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# The crates we use, compiled against a stand-in for our own sources: this layer lasts until Cargo.lock changes.
# rust-toolchain.toml stays outside: the image's own toolchain is the one it names, without its extra components.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo '//! A stand-in.' > src/lib.rs \
 && printf '//! A stand-in.\nfn main() {}\n' > src/main.rs \
 && cargo build --release --locked

COPY sql sql
COPY src src
# The copied files may be older than the stand-in; cargo goes by the time of change.
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="plimsoll" \
      org.opencontainers.image.description="A TechEmpower-style web service in front of PostgreSQL that knows its own load line" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin plimsoll
COPY --from=build /src/target/release/plimsoll /usr/local/bin/plimsoll
USER 10001:10001

# The TechEmpower toolset passes no environment when it runs this image: what it needs stands here. Anyone else sets
# DATABASE_URL to a database of their own.
ENV HOST=0.0.0.0 \
    PORT=8080 \
    DATABASE_URL=postgres://benchmarkdbuser:benchmarkdbpass@tfb-database:5432/hello_world
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["plimsoll", "health"]
ENTRYPOINT ["plimsoll"]
CMD ["serve"]
