add_library(fuzz_manifest_reader STATIC ${CMAKE_SOURCE_DIR}/host/plugin/manifest.c)
target_include_directories(fuzz_manifest_reader PUBLIC ${CMAKE_SOURCE_DIR}/host)
target_link_libraries(fuzz_manifest_reader PUBLIC broker::plugin_api)
logstore_fuzz(fuzz_manifest fuzz_manifest_reader)
