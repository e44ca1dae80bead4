logstore_test(test_mqtt mqtt_core)
# The plugin whole, on a host without sockets and without a bus: mqtt_fake.h.
foreach(test test_mqtt_plugin test_mqtt_session)
    logstore_test(${test} mqtt_core)
    target_sources(${test} PRIVATE ${CMAKE_SOURCE_DIR}/plugins/mqtt/mqtt.c)
endforeach()
