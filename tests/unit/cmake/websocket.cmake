logstore_test(test_websocket websocket_core)
# The table too: a build is started on a host of the test's own.
logstore_test(test_websocket_life websocket_core)
target_sources(test_websocket_life PRIVATE websocket_host.c
    ${CMAKE_SOURCE_DIR}/plugins/websocket/websocket.c)
embed_text(test_websocket_life ${CMAKE_SOURCE_DIR}/plugins/websocket/schema.json websocket_schema)
