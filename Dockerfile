# One static binary and nothing else: no shell, no libraries, no root.
#
# The last stage takes only what lies in /image, so that `tests/compose/image` can fill it from a binary that cargo
# built, where there is no registry to pull the first stage from.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$host" \
    && tests/compose/rootfs "target/$host/release/ymp" /image

FROM scratch
COPY --from=build /image/bin/ /bin/
COPY --from=build --chown=10001:10001 /image/own/ /
USER 10001:10001
EXPOSE 8443 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=5 CMD ["ymp", "health"]
ENTRYPOINT ["ymp"]
CMD ["serve"]
