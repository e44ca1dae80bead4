foreach(test test_streamr_delivery test_streamr_proxies)
    logstore_test(${test} streamr_delivery streamr base)
    target_sources(${test} PRIVATE peers_fake.c delivery_rig.c)
endforeach()
