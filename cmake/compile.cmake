# Warnings, hardening and sanitizers, the same for everything of ours.
add_compile_definitions(_GNU_SOURCE LOGSTORE_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wimplicit-fallthrough -Werror -fno-omit-frame-pointer)
add_compile_options($<$<CONFIG:Release>:-fstack-protector-strong> $<$<CONFIG:Release>:-g1>
    "$<$<CONFIG:Release>:SHELL:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>")
add_compile_options("SHELL:-include ${CMAKE_SOURCE_DIR}/lib/base/banned.h")
add_link_options(LINKER:-z,relro,-z,now LINKER:--build-id=sha1)
if(LOGSTORE_SANITIZE)
    add_compile_options(-fsanitize=${LOGSTORE_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${LOGSTORE_SANITIZE})
endif()

if(LOGSTORE_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link) # the fuzzer sees into the libraries too
endif()

# logstore_library(NAME SOURCE...) -- a static library of ours. Its public header
# is included as "<folder>/<header>", from lib/ or host/.
function(logstore_library name)
    add_library(${name} STATIC ${ARGN})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/lib)
    target_link_libraries(${name} PUBLIC broker::plugin_api)
endfunction()

# logstore_test(NAME LIBRARIES... SOURCES...) -- a Criterion program tests/unit/NAME.c, run by ctest.
function(logstore_test name)
    add_executable(${name} ${name}.c)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib)
    target_compile_definitions(${name} PRIVATE TEST_VECTORS="${CMAKE_SOURCE_DIR}/tests/vectors"
        TEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}/tests")
    target_link_libraries(${name} PRIVATE ${ARGN} dep::criterion)
    # Criterion's macros trip over these; they are not ours to mend.
    target_compile_options(${name} PRIVATE -Wno-conversion -Wno-missing-prototypes -Wno-shadow)
    add_test(NAME ${name} COMMAND ${name} --jobs 1)
endfunction()

# logstore_fuzz(NAME LIBRARIES...) -- a libFuzzer target tests/fuzz/NAME.c with its corpus
# in tests/fuzz/corpus/NAME.
function(logstore_fuzz name)
    add_executable(${name} ${name}.c)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer -Wno-missing-prototypes)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${ARGN})
    set_property(GLOBAL APPEND PROPERTY LOGSTORE_FUZZERS ${name})
endfunction()
