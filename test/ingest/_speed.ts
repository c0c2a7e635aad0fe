import { compressSync } from 'snappy'
import { newContext, NOW_MS } from '/work/main/test/ingest/doors-fixture.ts'
import { encode } from '/work/main/test/ingest/protobuf-oracle.ts'
import { decodeRemoteWrite } from '/work/main/src/ingest/remote-write.ts'
import { decodeOtlpTraces } from '/work/main/src/ingest/otlp-traces.ts'
import { decodeOtlpLogs } from '/work/main/src/ingest/otlp-logs.ts'
import { decodeLokiJson, decodeLokiProtobuf } from '/work/main/src/ingest/loki.ts'
import { unsnappy } from '/work/main/src/ingest/request-body.ts'
import { encodeBatch, decodeBatch } from '/work/main/src/codec.ts'
import { splitByPartition } from '/work/main/src/ingest/split.ts'
function time(name:string, rows:number, f:()=>void){ for(let i=0;i<20;i++)f(); let n=0; const c0=process.cpuUsage(); const t0=performance.now(); while(performance.now()-t0<1500){f();n++}; const c=process.cpuUsage(c0); const s=(c.user+c.system)/1e6; console.log(name.padEnd(50), Math.round(rows*n/s/1000)+'k rows/cpu-s') }
const S=2000
const rw=Buffer.from(encode('WriteRequest',{timeseries:Array.from({length:S},(_,i)=>({labels:[['__name__',`http_request_duration_seconds_bucket_${i%40}`],['cluster','prod-eu-1'],['container','app'],['endpoint','http'],['env','production'],['instance',`10.0.${i%200}.${i%250}:8080`],['job','shop/checkout'],['le',String(i%12)],['method','GET'],['namespace','shop'],['pod',`checkout-6d5f8c9b7d-x${i}`],['route','/api/v1/cart/'+i%30]].map(([name,value])=>({name,value})),samples:[{value:Math.random()*100,timestamp:NOW_MS}]}))}))
const rws=compressSync(rw)
console.log('rw bytes',rw.length,rws.length)
const ctx=newContext()
time('rw decode plain',S,()=>{decodeRemoteWrite(rw,ctx)})
time('rw snappy+decode',S,()=>{decodeRemoteWrite(unsnappy(rws,1e8),ctx)})
time('rw first sight (fresh registry)',S,()=>{decodeRemoteWrite(rw,newContext())})
const batch=decodeRemoteWrite(rw,ctx)
let enc=encodeBatch(batch); console.log('encoded',enc.length)
time('encode metrics',S,()=>{encodeBatch(batch)})
time('decodeBatch metrics',S,()=>{decodeBatch(enc)})
time('split metrics 8',S,()=>{splitByPartition(batch,8)})
const spans=Buffer.from(encode('TracesData',{resourceSpans:[{resource:{attributes:[{key:'service.name',value:{stringValue:'shop'}},{key:'service.version',value:{stringValue:'1'}},{key:'host.name',value:{stringValue:'h'}}]},scopeSpans:[{spans:Array.from({length:500},(_,i)=>({traceId:Buffer.from(String(i>>3).padStart(32,'a').slice(0,32),'hex'),spanId:Buffer.from(String(i).padStart(16,'b'),'hex'),parentSpanId:Buffer.from(String(i).padStart(16,'c'),'hex'),name:'GET /cart',kind:i%3+1,startTimeUnixNano:String(NOW_MS)+'000000',endTimeUnixNano:String(NOW_MS+5)+'000000',attributes:Array.from({length:12},(_,k)=>({key:['http.request.method','url.path','server.address','server.port','user_agent.original','network.protocol.version','http.response.status_code','http.route','thread.id','client.address','x.y','z.w'][k],value:{stringValue:'value '+k}}))}))}]}]}))
time('otlp traces',500,()=>{decodeOtlpTraces(spans,ctx)})
const sb=decodeOtlpTraces(spans,ctx); enc=encodeBatch(sb); console.log('encoded',enc.length/500)
time('encode spans',500,()=>{encodeBatch(sb)})
time('decodeBatch spans',500,()=>{decodeBatch(enc)})
const jl=(i:number)=>JSON.stringify({level:30,time:NOW_MS,pid:1,hostname:'h',trace_id:'0af7651916cd43dd8448eb211c80319c',msg:`GET /cart/${i} took 12 ms`})
const loki=Buffer.from(JSON.stringify({streams:[{stream:{app:'shop'},values:Array.from({length:1000},(_,i)=>[NOW_MS+'000000',jl(i)])}]}))
time('loki json, pino lines',1000,()=>{decodeLokiJson(loki,ctx)})
const lp=Buffer.from(encode('PushRequest',{streams:[{labels:'{app="shop"}',entries:Array.from({length:1000},(_,i)=>({timestamp:{seconds:NOW_MS/1000},line:`2026-11-23 INFO GET /cart/${i} took 12 ms from 10.0.0.${i%255}`}))}]}))
time('loki proto, plain lines',1000,()=>{decodeLokiProtobuf(lp,ctx)})
const lb=decodeLokiProtobuf(lp,ctx); enc=encodeBatch(lb)
time('encode logs',1000,()=>{encodeBatch(lb)})
time('decodeBatch logs',1000,()=>{decodeBatch(enc)})
