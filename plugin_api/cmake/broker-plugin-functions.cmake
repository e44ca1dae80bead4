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
