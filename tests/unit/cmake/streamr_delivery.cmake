foreach(test test_streamr_delivery test_streamr_proxies)
    logstore_test(${test} streamr_delivery streamr base)
    target_sources(${test} PRIVATE peers_fake.c delivery_rig.c)
endforeach()
logstore_test(test_streamr_glance streamr_delivery streamr base dep::jansson)
# Its parts alone: of connections nothing is called.
target_sources(test_streamr_glance PRIVATE peers_fake.c)
