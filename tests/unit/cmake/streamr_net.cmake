logstore_test(test_streamr_links streamr_control streamr base dep::jansson)
target_compile_definitions(test_streamr_links PRIVATE VECTORS="${CMAKE_SOURCE_DIR}/tests/vectors")
