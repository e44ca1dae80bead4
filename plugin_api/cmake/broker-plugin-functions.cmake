# broker_add_plugin(NAME SOURCE...) -- a loadable plugin: hidden symbols, no
# "lib" prefix, and no unresolved symbol left for load time to find.
function(broker_add_plugin name)
    add_library(${name} MODULE ${ARGN})
    target_link_libraries(${name} PRIVATE broker::plugin_api)
    target_link_options(${name} PRIVATE LINKER:-z,defs)
    set_target_properties(${name} PROPERTIES PREFIX ""
        LIBRARY_OUTPUT_DIRECTORY "${LOGSTORE_PLUGIN_OUTPUT}"
        C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# broker_test_plugin(NAME [CONFIG JSON]) -- a test that runs the broker's conformance checks on
# the plugin, with JSON as its section of the configuration.
function(broker_test_plugin name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "CONFIG" "")
    if(NOT arg_CONFIG)
        set(arg_CONFIG "{}")
    endif()
    if(TARGET logstore-broker)
        set(broker_program $<TARGET_FILE:logstore-broker>)
    endif()
    add_test(NAME conformance_${name} COMMAND ${broker_program} plugin check $<TARGET_FILE:${name}> --config "${arg_CONFIG}")
endfunction()
