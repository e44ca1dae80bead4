logstore_fuzz(fuzz_delivery streamr_delivery base)
target_sources(fuzz_delivery PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/peers_fake.c)
