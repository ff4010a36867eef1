{const watch=document.getElementById('watch');
const busy=s=>s==='running'||s==='starting';
if(watch&&busy(watch.dataset.state)){
const byId=id=>document.getElementById(id);let first=null;
const look=async()=>{const began=Date.now();let f;try{f=await (await fetch(watch.dataset.ask)).json();}catch{setTimeout(look,3000);return;}
byId('state').textContent=f.state;
byId('counts').textContent=`${f.marked} marked, ${f.skipped} skipped, ${f.failed} failed`+(f.images?` of ${f.images}`:'');
byId('bar').max=f.images||1;byId('bar').value=f.done;
const now=performance.now();if(!first||f.done<first.done)first={done:f.done,now};
const rate=(f.done-first.done)/((now-first.now)/1000);
byId('left').textContent=rate>0&&f.images?`${rate.toFixed(1)} images/s, ${Math.ceil((f.images-f.done)/rate)} s left`:'';
byId('messages').textContent=f.messages.join('\n')||'nothing yet';
const grid=byId('pictures'),have=new Set([...grid.querySelectorAll('img')].map(i=>i.getAttribute('src')));
if(f.pictures.some(p=>!have.has(p)))grid.replaceChildren(...f.pictures.map(p=>{const g=document.createElement('figure'),i=document.createElement('img');
i.src=p;i.alt='a marked image';g.append(i);return g;}));
if(busy(f.state))setTimeout(look,Math.max(1000,10*(Date.now()-began)));else location.reload();};
setTimeout(look,500);}
const viewer=document.querySelector('.viewer');
if(viewer){const cut=document.getElementById('cut'),after=viewer.querySelector('.after');
cut.addEventListener('input',()=>after.style.setProperty('--cut',cut.value+'%'));
const looks=[...document.querySelectorAll('.look')];let timer=0;
const show=()=>{const more=looks.map(l=>[l.dataset.name,l.type==='checkbox'?(l.checked?'1':'0'):l.value]);
viewer.querySelectorAll('img').forEach(i=>{i.src=i.dataset.src+more.map(([n,v])=>`&${n}=${v}`).join('');});};
looks.forEach(l=>l.addEventListener('input',()=>{clearTimeout(timer);timer=setTimeout(show,120);}));
const places=document.getElementById('keep_out');let from=null;
const at=e=>{const r=after.getBoundingClientRect();return [Math.round((e.clientX-r.left)/r.width*viewer.dataset.width),
Math.round((e.clientY-r.top)/r.height*viewer.dataset.height)];};
if(places){after.draggable=false;after.addEventListener('pointerdown',e=>{if(places.closest('details').open){from=at(e);e.preventDefault();}});
addEventListener('pointerup',e=>{if(!from)return;const to=at(e),x=Math.max(Math.min(from[0],to[0]),0),y=Math.max(Math.min(from[1],to[1]),0);
const w=Math.abs(to[0]-from[0]),h=Math.abs(to[1]-from[1]);from=null;
if(w>1&&h>1)places.value=(places.value.trim()+`\n${x},${y},${w},${h}`).trim();});}}}
