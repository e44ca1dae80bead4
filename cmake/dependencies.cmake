# Every library is a Debian 12 package; why each: ARCHITECTURE.md.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# dep(NAME PKGCONFIG) -- an imported target dep::NAME.
function(dep name module)
    pkg_check_modules(DEP_${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    add_library(dep::${name} ALIAS PkgConfig::DEP_${name})
endfunction()

dep(uv libuv)
dep(secp256k1 libsecp256k1)
dep(jansson jansson)
dep(pcre2 libpcre2-8)
dep(nettle nettle)
dep(crypto libcrypto)
dep(ssl libssl)
dep(msgpack msgpack)
dep(curl libcurl)
if(LOGSTORE_TESTS)
    dep(criterion criterion)
endif()

# RocksDB, http-parser and wslay ship no usable pkg-config file on Debian 12.
add_library(dep_rocksdb INTERFACE)
target_link_libraries(dep_rocksdb INTERFACE rocksdb)
add_library(dep::rocksdb ALIAS dep_rocksdb)
add_library(dep_wslay INTERFACE)
target_link_libraries(dep_wslay INTERFACE wslay)
add_library(dep::wslay ALIAS dep_wslay)
